/** Draws what one row of the panel's list shows, by its kind. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { Permission, Question, ToolState, Upstream } from '../api';
import { askerOf, effectsMark } from '../approvals/effects';
import { inertLine } from '../inert';
import type { Actions } from './actions';
import { EXAMPLE_LINES } from './calls';
import { EndMark } from './endMark';
import { HandleRow } from './handles';
import { emptyText, endName, noveltyName, permissionText, sectionName, shareName, stateName } from './names';
import { type DrawNotebook, drawAsker, hasNotebook } from './notebookLink';
import type { PanelRow, Unloaded } from './rows';
import { stateClass, stateText, stateWord } from './servers';
import { differenceName } from './tools';
import { TwoLines } from './twoLines';
import { duration, time } from './words';

interface ContentProps<R = PanelRow> {
  row: R;
  /** Draws notebooks that the row names. */
  draw: DrawNotebook;
  actions: Actions;
  trans: TranslationBundle;
}

type RowOf<K extends PanelRow['kind']> = Extract<PanelRow, { kind: K }>;

export function Content({ row, draw, actions, trans }: ContentProps): React.ReactElement {
  switch (row.kind) {
    case 'section':
      return (
        <>
          <Twisty isOpen={row.isOpen} />
          <span className="pctx-Row-title">{sectionName(row.section, trans)}</span>
          <span className="pctx-Row-count">{row.count}</span>
        </>
      );
    case 'kernel':
      return <KernelRow row={row} actions={actions} trans={trans} />;
    case 'tool':
      return <ToolRow tool={row.tool} mark={row.tool.shared_as === null ? trans.__('private') : ''} trans={trans} />;
    case 'server':
      return <ServerRow server={row.server} isOpen={row.isOpen} trans={trans} />;
    case 'offered': {
      const isAllowed = row.server.allowed?.includes(row.tool.name) ?? false;
      const novelty = row.novelty && noveltyName(row.novelty, trans);
      return <ToolRow tool={row.tool} novelty={novelty} mark={isAllowed ? trans.__('allowed') : ''} trans={trans} />;
    }
    case 'withheld':
      return <WithheldRow row={row} trans={trans} />;
    case 'question':
      return <QuestionRow question={row.question} trans={trans} />;
    case 'permission':
      return <PermissionRow permission={row.permission} trans={trans} />;
    case 'handle':
      return <HandleRow handle={row.handle} until={row.until} trans={trans} />;
    case 'run':
      return <RunRow row={row} draw={draw} trans={trans} />;
    case 'example':
      return (
        <>
          <span className="pctx-Row-quiet">{trans.__('No tools yet. To make one:')}</span>
          <pre className="pctx-Example">{EXAMPLE_LINES}</pre>
          <RowButton text={trans.__('Insert example')} act={actions.insertExample} />
        </>
      );
    case 'unloaded':
      return <UnloadedRow unloaded={row.unloaded} load={actions.loadPctx} trans={trans} />;
    case 'empty':
      return <span className="pctx-Row-quiet">{emptyText(row.why, row.of, trans)}</span>;
  }
}

function KernelRow({ row, actions, trans }: Omit<ContentProps<RowOf<'kernel'>>, 'draw'>): React.ReactElement {
  const { kernel, isOpen, isFront } = row;
  return (
    <>
      <Twisty isOpen={isOpen} />
      <span className="pctx-Row-title" title={kernel.path ? inertLine(kernel.path) : undefined}>
        <bdi>{inertLine(kernel.name ?? kernel.path ?? trans.__('A kernel'))}</bdi>
        {kernel.has_namesake && kernel.name && <bdi className="pctx-Row-quiet"> {inertLine(kernel.path ?? '')}</bdi>}
      </span>
      {isFront && <span className="pctx-Row-mark">{trans.__('this notebook')}</span>}
      <span className="pctx-Row-quiet">{shareName(kernel.sharing, trans)}</span>
      {!isFront && hasNotebook(kernel) && (
        <RowButton
          className="pctx-Link pctx-Row-open"
          isForMouse // the details have a button for the keyboard
          title={trans.__('Open this notebook')}
          text={`${trans.__('open')} ↗`}
          act={() => {
            actions.openNotebook(kernel);
          }}
        />
      )}
      <span className="pctx-Row-count">{kernel.tool_count}</span>
    </>
  );
}

function ToolRow(props: {
  tool: ToolState;
  novelty?: string | null;
  mark: string;
  trans: TranslationBundle;
}): React.ReactElement {
  const { tool, novelty, mark, trans } = props;
  return (
    <TwoLines title={tool.path} quiet={inertLine(tool.description || tool.signature)}>
      {novelty && <span className="pctx-Row-mark">{novelty}</span>}
      {tool.effects !== false && <span className="pctx-Row-mark">{effectsMark(tool.effects, trans)}</span>}
      {mark && <span className="pctx-Row-mark">{mark}</span>}
    </TwoLines>
  );
}

function ServerRow(props: { server: Upstream; isOpen: boolean; trans: TranslationBundle }): React.ReactElement {
  const { server, isOpen, trans } = props;
  const before = (
    <>
      <Twisty isOpen={isOpen} />
      <span className={`pctx-State pctx-mod-${stateClass(server)}`} role="img" aria-label={stateWord(server, trans)} />
    </>
  );
  return <TwoLines before={before} title={server.name} quiet={stateText(server, trans)} />;
}

function WithheldRow({ row, trans }: Omit<ContentProps<RowOf<'withheld'>>, 'actions' | 'draw'>): React.ReactElement {
  const parts = (row.change?.what ?? []).map(part => differenceName(part, trans));
  return (
    <TwoLines title={row.name} quiet={trans.__('Changed: %1', parts.join(', '))}>
      <span className="pctx-Row-mark pctx-mod-warning">{trans.__('withheld')}</span>
    </TwoLines>
  );
}

function QuestionRow({ question, trans }: { question: Question; trans: TranslationBundle }): React.ReactElement {
  return (
    <TwoLines title={question.tool} quiet={inertLine(question.arguments)}>
      <bdi className="pctx-Row-quiet">{askerOf(question, trans)}</bdi>
    </TwoLines>
  );
}

function PermissionRow(props: { permission: Permission; trans: TranslationBundle }): React.ReactElement {
  return <TwoLines title={props.permission.tool} quiet={permissionText(props.permission, props.trans)} />;
}

function RunRow({ row, draw, trans }: Omit<ContentProps<RowOf<'run'>>, 'actions'>): React.ReactElement {
  const { run } = row;
  const facts = [
    time(run.started_at),
    run.duration_s === null ? stateName('running', trans) : duration(run.duration_s),
    run.refused ? endName(run, trans) : '',
    run.calls > 0 ? trans._n('%2 call', '%2 calls', run.calls, run.calls.toLocaleString()) : ''
  ];
  return (
    <TwoLines
      before={<EndMark run={run} trans={trans} />}
      title={run.title}
      titleIs="code"
      quiet={
        <>
          {drawPlace(row, draw, trans)} · {facts.filter(Boolean).join(' · ')}
        </>
      }
    />
  );
}

/** Where a run is shown, or who runs it: the number of its cell, with its notebook unless that is in front, or the agent. */
function drawPlace(row: RowOf<'run'>, draw: DrawNotebook, trans: TranslationBundle): React.ReactNode {
  const { run, isFront } = row;
  const cell = row.cell === null || run.asked_by !== 'cell' ? '' : `[${row.cell}]`;
  if (cell !== '' && isFront) {
    return cell;
  }
  const asker = drawAsker(run, named => draw(named, true), trans); // the details have a link for the keyboard
  return (
    <>
      {asker}
      {cell && ` ${cell}`}
    </>
  );
}

function UnloadedRow(props: { unloaded: Unloaded; load: () => void; trans: TranslationBundle }): React.ReactElement {
  const { unloaded, load, trans } = props;
  const { isLoading, error } = unloaded;
  const text = isLoading
    ? trans.__('Loading pctx…')
    : error !== ''
      ? trans.__('Cannot load pctx in this kernel: %1', inertLine(error, 300))
      : trans.__('This kernel has not loaded pctx.');
  return (
    <>
      <span className="pctx-Row-title" title={text}>
        {text}
      </span>
      {!isLoading && <RowButton text={error === '' ? trans.__('Load') : trans.__('Try again')} act={load} />}
    </>
  );
}

/** A button in a row. What is done with it is not done with the row, too. */
function RowButton(props: {
  text: string;
  act: () => void;
  title?: string;
  className?: string;
  isForMouse?: boolean;
}): React.ReactElement {
  const { text, act, title, className = 'jp-mod-styled pctx-Panel-button', isForMouse = false } = props;
  const stop = (event: React.SyntheticEvent): void => {
    event.stopPropagation();
  };
  return (
    <button
      className={className}
      tabIndex={isForMouse ? -1 : undefined}
      title={title}
      onClick={event => {
        event.stopPropagation();
        act();
      }}
      onDoubleClick={stop}
      onKeyDown={stop}
    >
      {text}
    </button>
  );
}

function Twisty({ isOpen }: { isOpen: boolean }): React.ReactElement {
  return (
    <span className="pctx-Twisty" aria-hidden="true">
      {isOpen ? '▾' : '▸'}
    </span>
  );
}
