/** Draws the details of the chosen row. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { ExecutionState, KernelState, Permission, Sharing, Trace } from '../api';
import type { Drafts } from '../approvals/model';
import { QuestionDetail } from '../approvals/view';
import { Code } from '../code';
import { inert, inertLine } from '../inert';
import type { TimelineModel } from '../results/model';
import { Calls } from '../results/timeline';
import type { Actions } from './actions';
import { DetailSection } from './detailSection';
import { HandleDetail } from './handles';
import type { PanelModel } from './model';
import { endName, permissionText, shareText } from './names';
import { type DrawNotebook, drawAsker, drawNamed, hasNotebook, notebookLinks, notebookOf } from './notebookLink';
import { MOST_SHOWN, RunButtons, RunError } from './runParts';
import { ServerDetail } from './servers';
import { OfferedDetail, ToolDetail, WithheldDetail } from './tools';
import { size } from './words';

interface DetailProps {
  model: PanelModel;
  drafts: Drafts;
  actions: Actions;
  trans: TranslationBundle;
}

const SHARING: readonly Sharing[] = ['nobody', 'agents', 'everyone'];

/** Whether the chosen row has details. */
export function hasDetail(model: PanelModel): boolean {
  const kind = model.chosenRow?.kind;
  return kind !== undefined && !['section', 'empty', 'example', 'unloaded'].includes(kind);
}

export function Detail({ model, drafts, actions, trans }: DetailProps): React.ReactElement | null {
  const row = model.chosenRow;
  const draw = notebookLinks(model.kernels, actions.openNotebook, trans);
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
          notebook={drawNamed(
            notebookOf(row.question, model.kernels, id => model.run(id)),
            draw
          )}
        />
      );
    case 'permission':
      return <PermissionDetail permission={row.permission} draw={draw} actions={actions} trans={trans} />;
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
      return <RunDetail run={row.run} model={model} draw={draw} actions={actions} trans={trans} />;
    default:
      return null;
  }
}

function KernelDetail(props: { kernel: KernelState; actions: Actions; trans: TranslationBundle }): React.ReactElement {
  const { kernel, actions, trans } = props;
  return (
    <DetailSection
      label={trans.__('Chosen notebook')}
      title={<bdi>{inertLine(kernel.name ?? trans.__('A kernel'))}</bdi>}
    >
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
    </DetailSection>
  );
}

function PermissionDetail(props: {
  permission: Permission;
  draw: DrawNotebook;
  actions: Actions;
  trans: TranslationBundle;
}): React.ReactElement {
  const { permission, draw, actions, trans } = props;
  const notebook = drawNamed(permission, draw);
  return (
    <DetailSection label={trans.__('Chosen permission')} title={<bdi>{inertLine(permission.tool)}</bdi>}>
      <p className="pctx-Detail-quiet">
        {permissionText(permission, trans)}
        {notebook && ' · '}
        {notebook}
      </p>
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
    </DetailSection>
  );
}

function RunDetail(props: {
  run: ExecutionState;
  model: PanelModel;
  draw: DrawNotebook;
  actions: Actions;
  trans: TranslationBundle;
}): React.ReactElement {
  const { run, model, draw, actions, trans } = props;
  const loading = model.trace;
  return (
    <DetailSection
      label={trans.__('Chosen run')}
      title={
        <>
          {drawAsker(run, draw, trans)} · {endName(run, trans)}
        </>
      }
    >
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
    </DetailSection>
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
