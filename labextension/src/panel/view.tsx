/** Draws the panel: a tree, and the details of the chosen row below it. It holds no state, and sends no requests. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { ExecutionState, KernelState, Permission, Sharing, Trace } from '../api';
import { Code } from '../code';
import { inert, inertLine } from '../inert';
import { askerOf, effectsMark } from '../approvals/effects';
import type { Drafts } from '../approvals/model';
import { type Decide, QuestionDetail } from '../approvals/view';
import type { TimelineModel } from '../results/model';
import { Calls, decisionText, endText } from '../results/timeline';
import type { PanelModel } from './model';
import { ServerDetail, stateClass, stateText, stateWord } from './servers';
import type { HandleActions, ToolActions } from './actions';
import { HandleDetail, HandleRow } from './handles';
import { OfferedDetail, ToolDetail, WithheldDetail, differenceName } from './tools';
import { Divider } from './divider';
import { EXAMPLE_LINES } from './calls';
import {
  type Emptiness,
  HEIGHTS,
  type Novelty,
  type PanelRow,
  type RunFilter,
  type Section,
  type Unloaded,
  idOf
} from './rows';
import { type RunActions, RunButtons, RunError } from './runParts';
import { duration, size, time } from './words';

/** The actions of the panel. */
export interface Actions extends ToolActions, RunActions, HandleActions {
  /** Open a run as a tab. */
  openRun: (run: ExecutionState) => void;
  share: (kernel: KernelState, to: Sharing) => void;
  copyConfig: () => void;
  retry: () => void;
  /** Insert a cell that makes a tool. */
  insertExample: () => void;
  /** Load pctx in the kernel of the notebook in front. */
  loadPctx: () => void;
  /** Show the notebook of a kernel. */
  openNotebook: (kernel: KernelState) => void;
  /** Give the details a part of the panel's height. */
  divide: (part: number) => void;
  decide: Decide;
  revoke: (permission: Permission) => void;
  /** Go back to the notebook. */
  leave: () => void;
}

interface PanelProps {
  model: PanelModel;
  drafts: Drafts;
  actions: Actions;
  trans: TranslationBundle;
}

const FILTERS: readonly RunFilter[] = ['all', 'failed', 'agents'];
const SHARING: readonly Sharing[] = ['nobody', 'agents', 'everyone'];
/** Characters of a program, or of its result, that are drawn. */
export const MOST_SHOWN = 20_000;

export function Panel({ model, drafts, actions, trans }: PanelProps): React.ReactElement {
  if (model.connection === 'absent') {
    return (
      <Message
        text={trans.__(
          'This Jupyter server does not have pctx. Install pctx-jupyter in its environment, and restart it.'
        )}
      >
        <button className="jp-mod-styled" onClick={actions.retry}>
          {trans.__('Retry')}
        </button>
      </Message>
    );
  }
  return (
    <>
      <div className="pctx-Panel-head">
        <input
          type="search"
          className="pctx-Panel-search"
          placeholder={trans.__('Search')}
          aria-label={trans.__('Search tools and runs')}
          value={model.query}
          onChange={event => {
            model.search(event.target.value);
          }}
          onKeyDown={event => {
            if (event.key === 'ArrowDown') {
              event.preventDefault();
              model.move(1);
              event.currentTarget.closest('.pctx-Panel')?.querySelector<HTMLElement>('[role=tree]')?.focus();
            }
          }}
        />
        <button
          className="jp-mod-styled pctx-Panel-button"
          title={trans.__('Add an MCP server whose tools programs can call')}
          onClick={actions.addServer}
        >
          {trans.__('Add server…')}
        </button>
        <button
          className="jp-mod-styled pctx-Panel-button"
          title={trans.__('Copy the configuration of an MCP client for this server')}
          onClick={actions.copyConfig}
        >
          {trans.__('Connect…')}
        </button>
      </div>
      {model.runs.length > 0 && (
        <div className="pctx-Chips" role="group" aria-label={trans.__('Show runs')}>
          <span className="pctx-Row-quiet">{trans.__('Runs:')}</span>
          {FILTERS.map(filter => (
            <button
              key={filter}
              className="pctx-Chip"
              aria-pressed={model.filter === filter}
              onClick={() => {
                model.filterRuns(filter);
              }}
            >
              {filterName(filter, trans)}
            </button>
          ))}
        </div>
      )}
      {model.connection === 'lost' && (
        <div className="pctx-Panel-note" role="status">
          {trans.__('The server does not answer. Retrying…')}
        </div>
      )}
      <Tree model={model} actions={actions} trans={trans} />
      {hasDetail(model) && (
        <>
          <Divider part={model.split} move={actions.divide} trans={trans} />
          <div
            className={`pctx-Details${model.split === null ? '' : ' pctx-mod-split'}`}
            style={model.split === null ? undefined : { height: `${100 * model.split}%` }}
          >
            <Detail model={model} drafts={drafts} actions={actions} trans={trans} />
          </div>
        </>
      )}
    </>
  );
}

function Message({ text, children }: React.PropsWithChildren<{ text: string }>): React.ReactElement {
  return (
    <div className="pctx-Panel-message" role="status">
      <p>{text}</p>
      {children}
    </div>
  );
}

function Tree({ model, actions, trans }: Omit<PanelProps, 'drafts'>): React.ReactElement {
  const { rows, offsets, places } = model;
  const [first, end] = model.sight;
  const chosen = model.chosenRow;
  const drawn = rows.slice(first, end);
  const tree = React.useRef<HTMLDivElement | null>(null);
  React.useEffect(() => {
    if (!tree.current) {
      return;
    }
    // Details that arrive late take height from the list: what is chosen stays in sight.
    const observer = new ResizeObserver(() => {
      model.reveal();
    });
    observer.observe(tree.current);
    return () => {
      observer.disconnect();
    };
  }, [model]);
  return (
    <div
      className="pctx-Tree"
      role="tree"
      tabIndex={0}
      aria-label={trans.__('Tools and runs')}
      aria-activedescendant={chosen && drawn.includes(chosen) ? idOf(chosen) : undefined}
      ref={node => {
        tree.current = node;
        if (node && model.wanted !== null) {
          // By the present layout: the model learns later of scrolling, and of the height of the details.
          const [from, to] = model.wanted;
          node.scrollTop = Math.min(from, Math.max(node.scrollTop, to - node.clientHeight));
          model.wanted = null;
        }
      }}
      onScroll={event => {
        model.scroll(event.currentTarget.scrollTop, event.currentTarget.clientHeight);
      }}
      onKeyDown={event => {
        if (steer(event.key, model, actions)) {
          event.preventDefault();
          event.stopPropagation();
        }
      }}
    >
      <div role="presentation" style={{ height: offsets[rows.length] }}>
        {drawn.map((row, index) => (
          <div
            key={row.key}
            id={idOf(row)}
            role="treeitem"
            aria-level={row.level}
            aria-posinset={places[first + index]?.number}
            aria-setsize={places[first + index]?.of}
            aria-selected={row === chosen}
            aria-expanded={'isOpen' in row ? row.isOpen : undefined}
            className={`pctx-Row pctx-mod-${row.kind} pctx-mod-level${row.level}`}
            style={{ top: offsets[first + index], height: HEIGHTS[row.kind] }}
            onClick={event => {
              model.choose(row.key);
              if ('isOpen' in row && (event.target as HTMLElement).closest('.pctx-Twisty')) {
                model.toggle(row.key);
              }
            }}
            onDoubleClick={event => {
              if (!('isOpen' in row)) {
                act(row, actions);
              } else if (!(event.target as HTMLElement).closest('.pctx-Twisty')) {
                model.toggle(row.key);
              }
            }}
          >
            <Content row={row} actions={actions} trans={trans} />
          </div>
        ))}
      </div>
    </div>
  );
}

function steer(key: string, model: PanelModel, actions: Actions): boolean {
  const row = model.chosenRow;
  switch (key) {
    case 'ArrowDown':
      model.move(1);
      return true;
    case 'ArrowUp':
      model.move(-1);
      return true;
    case 'PageDown':
      model.move(10);
      return true;
    case 'PageUp':
      model.move(-10);
      return true;
    case 'Home':
      model.move(-Infinity);
      return true;
    case 'End':
      model.move(Infinity);
      return true;
    case 'ArrowRight':
      model.fold(true);
      return true;
    case 'ArrowLeft':
      model.fold(false);
      return true;
    case 'Enter':
    case ' ':
      if (row && 'isOpen' in row) {
        model.toggle(row.key);
      } else if (row) {
        act(row, actions);
      }
      return row !== undefined;
    default:
      return false;
  }
}

/** The action of Enter and of a double click. */
function act(row: PanelRow, actions: Actions): void {
  if (row.kind === 'tool') {
    actions.insertCall(row.tool, row.kernel);
  } else if (row.kind === 'offered') {
    actions.insertCall(row.tool, null);
  } else if (row.kind === 'example') {
    actions.insertExample();
  } else if (row.kind === 'unloaded') {
    actions.loadPctx();
  } else if (row.kind === 'run') {
    actions.openRun(row.run);
  }
}

function Content(props: { row: PanelRow; actions: Actions; trans: TranslationBundle }): React.ReactElement {
  const { row, actions, trans } = props;
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
      return (
        <>
          <Twisty isOpen={row.isOpen} />
          <span className="pctx-Row-title" title={row.kernel.path ? inertLine(row.kernel.path) : undefined}>
            <bdi>{inertLine(row.kernel.name ?? row.kernel.path ?? trans.__('A kernel'))}</bdi>
            {row.kernel.has_namesake && row.kernel.name && (
              <bdi className="pctx-Row-quiet"> {inertLine(row.kernel.path ?? '')}</bdi>
            )}
          </span>
          {row.isFront && <span className="pctx-Row-mark">{trans.__('this notebook')}</span>}
          <span className="pctx-Row-quiet">{shareName(row.kernel.sharing, trans)}</span>
          {!row.isFront && hasNotebook(row.kernel) && (
            <button
              className="pctx-Link pctx-Row-open"
              tabIndex={-1} // the details have a button for the keyboard
              title={trans.__('Open this notebook')}
              onClick={event => {
                event.stopPropagation();
                actions.openNotebook(row.kernel);
              }}
              onDoubleClick={event => {
                event.stopPropagation();
              }}
            >
              {trans.__('open')} ↗
            </button>
          )}
          <span className="pctx-Row-count">{row.kernel.tool_count}</span>
        </>
      );
    case 'tool':
      return (
        <>
          <div className="pctx-Row-line">
            <bdi className="pctx-Row-title">{inertLine(row.tool.path)}</bdi>
            {row.tool.effects !== false && (
              <span className="pctx-Row-mark">{effectsMark(row.tool.effects, trans)}</span>
            )}
            {row.tool.shared_as === null && <span className="pctx-Row-mark">{trans.__('private')}</span>}
          </div>
          <bdi className="pctx-Row-quiet pctx-Row-line">{inertLine(row.tool.description || row.tool.signature)}</bdi>
        </>
      );
    case 'server':
      return (
        <>
          <div className="pctx-Row-line">
            <Twisty isOpen={row.isOpen} />
            <span
              className={`pctx-State pctx-mod-${stateClass(row.server)}`}
              role="img"
              aria-label={stateWord(row.server, trans)}
            />
            <bdi className="pctx-Row-title">{inertLine(row.server.name)}</bdi>
          </div>
          <bdi className="pctx-Row-quiet pctx-Row-line">{stateText(row.server, trans)}</bdi>
        </>
      );
    case 'offered':
      return (
        <>
          <div className="pctx-Row-line">
            <bdi className="pctx-Row-title">{inertLine(row.tool.path)}</bdi>
            {row.novelty && <span className="pctx-Row-mark">{noveltyName(row.novelty, trans)}</span>}
            {row.tool.effects !== false && (
              <span className="pctx-Row-mark">{effectsMark(row.tool.effects, trans)}</span>
            )}
            {row.server.allowed?.includes(row.tool.name) && (
              <span className="pctx-Row-mark">{trans.__('allowed')}</span>
            )}
          </div>
          <bdi className="pctx-Row-quiet pctx-Row-line">{inertLine(row.tool.description || row.tool.signature)}</bdi>
        </>
      );
    case 'withheld':
      return (
        <>
          <div className="pctx-Row-line">
            <bdi className="pctx-Row-title">{inertLine(row.name)}</bdi>
            <span className="pctx-Row-mark pctx-mod-warning">{trans.__('withheld')}</span>
          </div>
          <bdi className="pctx-Row-quiet pctx-Row-line">
            {trans.__('Changed: %1', (row.change?.what ?? []).map(part => differenceName(part, trans)).join(', '))}
          </bdi>
        </>
      );
    case 'question':
      return (
        <>
          <div className="pctx-Row-line">
            <bdi className="pctx-Row-title">{inertLine(row.question.tool)}</bdi>
            <bdi className="pctx-Row-quiet">{askerOf(row.question, trans)}</bdi>
          </div>
          <bdi className="pctx-Row-quiet pctx-Row-line">{inertLine(row.question.arguments)}</bdi>
        </>
      );
    case 'permission':
      return (
        <>
          <div className="pctx-Row-line">
            <bdi className="pctx-Row-title">{inertLine(row.permission.tool)}</bdi>
          </div>
          <span className="pctx-Row-quiet pctx-Row-line">{permissionText(row.permission, trans)}</span>
        </>
      );
    case 'handle':
      return <HandleRow handle={row.handle} until={row.until} trans={trans} />;
    case 'run':
      return (
        <>
          <div className="pctx-Row-line">
            <EndMark run={row.run} trans={trans} />
            <bdi className="pctx-Row-title pctx-mod-code">{inertLine(row.run.title)}</bdi>
          </div>
          <span className="pctx-Row-quiet pctx-Row-line">
            {[
              placeName(row, trans),
              time(row.run.started_at),
              row.run.duration_s === null ? stateName('running', trans) : duration(row.run.duration_s),
              row.run.refused ? endName(row.run, trans) : '',
              row.run.calls > 0 ? trans._n('%2 call', '%2 calls', row.run.calls, row.run.calls.toLocaleString()) : ''
            ]
              .filter(Boolean)
              .join(' · ')}
          </span>
        </>
      );
    case 'example':
      return (
        <>
          <span className="pctx-Row-quiet">{trans.__('No tools yet. Three lines make one:')}</span>
          <pre className="pctx-Example">{EXAMPLE_LINES}</pre>
          <button
            className="jp-mod-styled pctx-Panel-button"
            onClick={event => {
              event.stopPropagation();
              actions.insertExample();
            }}
            onDoubleClick={event => {
              event.stopPropagation();
            }}
            onKeyDown={event => {
              event.stopPropagation();
            }}
          >
            {trans.__('Insert example')}
          </button>
        </>
      );
    case 'unloaded':
      return <UnloadedRow unloaded={row.unloaded} load={actions.loadPctx} trans={trans} />;
    case 'empty':
      return <span className="pctx-Row-quiet">{emptyText(row.why, row.of, trans)}</span>;
  }
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
      {!isLoading && (
        <button
          className="jp-mod-styled pctx-Panel-button"
          onClick={event => {
            event.stopPropagation();
            load();
          }}
          onDoubleClick={event => {
            event.stopPropagation();
          }}
          onKeyDown={event => {
            event.stopPropagation();
          }}
        >
          {error === '' ? trans.__('Load') : trans.__('Try again')}
        </button>
      )}
    </>
  );
}

/** Whether a kernel is of a notebook that can be opened. */
function hasNotebook(kernel: KernelState): boolean {
  return kernel.kind !== 'service' && kernel.path !== null;
}

const MARKS: Record<ExecutionState['state'], string> = { running: '◌', ok: '✓', failed: '✕', stopped: '■' };

/** How a run ended, as a sign and a colour: colours alone are not for everybody. */
export function EndMark({ run, trans }: { run: ExecutionState; trans: TranslationBundle }): React.ReactElement {
  const end = run.refused ? 'stopped' : run.state;
  return (
    <span className={`pctx-EndMark pctx-mod-${end}`} role="img" aria-label={endName(run, trans)}>
      {MARKS[end]}
    </span>
  );
}

function Twisty({ isOpen }: { isOpen: boolean }): React.ReactElement {
  return (
    <span className="pctx-Twisty" aria-hidden="true">
      {isOpen ? '▾' : '▸'}
    </span>
  );
}

/** Whether the chosen row has details. */
function hasDetail(model: PanelModel): boolean {
  const kind = model.chosenRow?.kind;
  return kind !== undefined && !['section', 'empty', 'example', 'unloaded'].includes(kind);
}

function Detail({ model, drafts, actions, trans }: PanelProps): React.ReactElement | null {
  const row = model.chosenRow;
  switch (row?.kind) {
    case 'kernel':
      return <KernelDetail kernel={row.kernel} actions={actions} trans={trans} />;
    case 'tool':
      return <ToolDetail tool={row.tool} kernel={row.kernel} actions={actions} trans={trans} />;
    case 'question':
      return (
        <QuestionDetail
          question={row.question}
          drafts={drafts}
          decide={actions.decide}
          trans={trans}
          more={model.questions.length - 1}
        />
      );
    case 'permission':
      return <PermissionDetail permission={row.permission} actions={actions} trans={trans} />;
    case 'handle':
      return (
        <HandleDetail
          handle={row.handle}
          until={row.until}
          forget={() => {
            actions.forgetHandle(row.owner, row.handle);
          }}
          trans={trans}
        />
      );
    case 'offered':
      return <OfferedDetail tool={row.tool} server={row.server} change={row.change} actions={actions} trans={trans} />;
    case 'withheld':
      return <WithheldDetail name={row.name} server={row.server} change={row.change} actions={actions} trans={trans} />;
    case 'server':
      return <ServerDetail server={row.server} actions={actions} trans={trans} />;
    case 'run':
      return <RunDetail run={row.run} model={model} actions={actions} trans={trans} />;
    default:
      return null;
  }
}

function KernelDetail(props: { kernel: KernelState; actions: Actions; trans: TranslationBundle }): React.ReactElement {
  const { kernel, actions, trans } = props;
  return (
    <section className="pctx-Detail" aria-label={trans.__('Chosen notebook')}>
      <h3>
        <bdi>{inertLine(kernel.name ?? trans.__('A kernel'))}</bdi>
      </h3>
      <p className="pctx-Detail-quiet">
        <bdi>{kernel.kind === 'service' ? trans.__('A service') : inertLine(kernel.path ?? kernel.kernel_id)}</bdi>
        {kernel.connected ? '' : ` · ${trans.__('not connected')}`}
      </p>
      {hasNotebook(kernel) && (
        <div className="pctx-Detail-buttons">
          <button
            className="jp-mod-styled"
            title={trans.__('Open this notebook')}
            onClick={() => {
              actions.openNotebook(kernel);
            }}
          >
            {trans.__('Open')}
          </button>
        </div>
      )}
      <label className="pctx-Detail-field">
        {trans.__('Who may call its tools')}
        <select
          className="jp-mod-styled"
          value={kernel.sharing}
          onChange={event => {
            actions.share(kernel, event.target.value as Sharing);
          }}
        >
          {SHARING.map(to => (
            <option key={to} value={to}>
              {shareText(to, kernel.kind === 'service', trans)}
            </option>
          ))}
        </select>
      </label>
    </section>
  );
}

function PermissionDetail(props: {
  permission: Permission;
  actions: Actions;
  trans: TranslationBundle;
}): React.ReactElement {
  const { permission, actions, trans } = props;
  return (
    <section className="pctx-Detail" aria-label={trans.__('Chosen permission')}>
      <h3>
        <bdi>{inertLine(permission.tool)}</bdi>
      </h3>
      <p className="pctx-Detail-quiet">{permissionText(permission, trans)}</p>
      <p className="pctx-Detail-quiet">
        {permission.lasts === 'tool'
          ? trans.__('It is called without asking until the tool changes. A restart does not end this.')
          : trans.__('It is called without asking until the kernel of its notebook, or the Jupyter server, stops.')}
      </p>
      <div className="pctx-Detail-buttons">
        <button
          className="jp-mod-styled jp-mod-warn"
          onClick={() => {
            actions.revoke(permission);
          }}
        >
          {trans.__('Revoke')}
        </button>
      </div>
    </section>
  );
}

function RunDetail(props: {
  run: ExecutionState;
  model: PanelModel;
  actions: Actions;
  trans: TranslationBundle;
}): React.ReactElement {
  const { run, model, actions, trans } = props;
  const loading = model.trace;
  return (
    <section className="pctx-Detail" aria-label={trans.__('Chosen run')}>
      <h3>
        {askerName(run, trans)} · {endName(run, trans)}
      </h3>
      <div className="pctx-Detail-buttons">
        <button
          className="jp-mod-styled"
          title={trans.__('Open this run as a tab')}
          onClick={() => {
            actions.openRun(run);
          }}
        >
          {trans.__('Open')}
        </button>
        <RunButtons
          run={run}
          trace={loading?.status === 'ready' ? loading.value : null}
          actions={actions}
          trans={trans}
        />
      </div>
      {loading?.status === 'ready' && loading.value.code_cut && (
        <p className="pctx-Detail-quiet">{trans.__('The program is too long: only its beginning was kept.')}</p>
      )}
      {loading?.status === 'failed' && <p className="pctx-Detail-error">{inert(loading.error.message, 1000)}</p>}
      {loading?.status === 'ready' && <TraceDetail trace={loading.value} timeline={model.timeline} trans={trans} />}
    </section>
  );
}

function TraceDetail(props: {
  trace: Trace;
  timeline: TimelineModel | null;
  trans: TranslationBundle;
}): React.ReactElement {
  const { trace, timeline, trans } = props;
  return (
    <>
      <RunError error={trace.error} />
      <Code label={trans.__('Program')}>{inert(trace.code, MOST_SHOWN)}</Code>
      {timeline && <Calls model={timeline} trans={trans} />}
      {trace.result && <Payload name={trans.__('Value')} text={trace.result} bytes={trace.result_bytes} />}
    </>
  );
}

function Payload({ name, text, bytes }: { name: string; text: string; bytes?: number }): React.ReactElement {
  return (
    <div className="pctx-Payload">
      <span className="pctx-Row-quiet">
        {name} {bytes === undefined ? '' : `(${size(bytes)})`}
      </span>
      <Code label={name}>{inert(text, MOST_SHOWN)}</Code>
    </div>
  );
}

function filterName(filter: RunFilter, trans: TranslationBundle): string {
  switch (filter) {
    case 'all':
      return trans.__('all');
    case 'failed':
      return trans.__('failed');
    case 'agents':
      return trans.__('agents');
  }
}

/** Where a run is shown, or who runs it: the number of its cell, or the agent. */
function placeName(row: Extract<PanelRow, { kind: 'run' }>, trans: TranslationBundle): string {
  if (row.cell === null || row.run.asked_by !== 'cell') {
    return askerName(row.run, trans);
  }
  return row.isFront ? `[${row.cell}]` : `${askerName(row.run, trans)} [${row.cell}]`;
}

function sectionName(section: Section, trans: TranslationBundle): string {
  switch (section) {
    case 'questions':
      return trans.__('Waiting for you');
    case 'permissions':
      return trans.__('Allowed without asking');
    case 'notebooks':
      return trans.__('Notebooks');
    case 'handles':
      return trans.__('Handles');
    case 'servers':
      return trans.__('MCP servers');
    case 'runs':
      return trans.__('Runs');
  }
}

function emptyText(why: Emptiness, of: Section, trans: TranslationBundle): string {
  switch (why) {
    case 'loading':
      return trans.__('…');
    case 'no-match':
      return trans.__('Nothing found');
    case 'no-tools':
      return trans.__('No tools yet');
    case 'disconnected':
      return trans.__('Not connected');
    case 'untrusted':
      return trans.__('Not started. Select the server to trust it.');
    case 'none':
      return of === 'notebooks'
        ? trans.__('No notebook has loaded pctx')
        : of === 'servers'
          ? trans.__('No server added')
          : trans.__('Nothing has run yet');
  }
}

function noveltyName(novelty: NonNullable<Novelty>, trans: TranslationBundle): string {
  return novelty === 'new' ? trans.__('new') : trans.__('changed');
}

function shareName(to: Sharing, trans: TranslationBundle): string {
  return to === 'nobody' ? trans.__('private') : to === 'everyone' ? trans.__('shared') : '';
}

function shareText(to: Sharing, isService: boolean, trans: TranslationBundle): string {
  switch (to) {
    case 'nobody':
      return isService ? trans.__('nobody else') : trans.__('only this notebook');
    case 'agents':
      return trans.__('agents');
    case 'everyone':
      return trans.__('agents and notebooks');
  }
}

export function stateName(state: ExecutionState['state'], trans: TranslationBundle): string {
  switch (state) {
    case 'running':
      return trans.__('running');
    case 'ok':
      return trans.__('done');
    case 'failed':
      return trans.__('failed');
    case 'stopped':
      return trans.__('stopped');
  }
}

/** How a run ended; a decision of a person says more than its state. */
export function endName(run: ExecutionState, trans: TranslationBundle): string {
  if (run.refused) {
    return decisionText(run.refused, trans);
  }
  return run.stopped_by ? endText(run.stopped_by, run.asked_by, trans, { life: 'alive' }) : stateName(run.state, trans);
}

/** Whose programs may call a tool without asking, and since when. */
export function permissionText(permission: Permission, trans: TranslationBundle): string {
  const callers = permission.asked_by.map(by => {
    switch (by) {
      case 'agent':
        return trans.__('agents');
      case 'cell':
        return trans.__('cells');
      case 'client':
        return trans.__('clients');
      case 'notebook':
        return trans.__('other notebooks');
      default:
        return trans.__('everybody');
    }
  });
  const since = permission.since ? trans.__('since %1', new Date(permission.since * 1000).toLocaleString()) : '';
  return [callers.join(', '), since].filter(Boolean).join(' · ');
}

export function askerName(run: ExecutionState, trans: TranslationBundle): string {
  const notebook = run.notebook && inertLine(run.notebook);
  switch (run.asked_by) {
    case 'agent':
      return run.agent ? inertLine(run.agent, 40) : trans.__('Agent');
    case 'cell':
    case 'notebook':
      return notebook ?? trans.__('Notebook');
    case 'client':
      return trans.__('Client');
  }
}
