/** Draws the chosen tool: a notebook's, or an MCP server's, which may have changed since it was approved. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { ChangedTool, KernelState, ToolState, Upstream, UpstreamTool } from '../api';
import { Code } from '../code';
import { inert, inertLine } from '../inert';
import { effectsText } from '../approvals/effects';
import type { ToolActions } from './actions';
import { DetailSection } from './detailSection';

interface ToolProps {
  actions: ToolActions;
  trans: TranslationBundle;
}

export function ToolDetail(props: ToolProps & { tool: ToolState; kernel: KernelState }): React.ReactElement {
  const { tool, kernel, actions, trans } = props;
  return (
    <DetailSection label={trans.__('Chosen tool')} title={<bdi>{inertLine(tool.path)}</bdi>}>
      <Signature tool={tool} trans={trans} />
      <p className="pctx-Detail-quiet">
        {tool.shared_as === null
          ? trans.__('Only this notebook can call it.')
          : trans.__('Others call it %1.', inertLine(tool.shared_as))}
        {` ${effectsText(tool.effects, trans)}`.trimEnd()}
      </p>
      <InsertCall
        trans={trans}
        act={() => {
          actions.insertCall(tool, kernel);
        }}
      />
    </DetailSection>
  );
}

interface OfServer extends ToolProps {
  server: Upstream;
  change: ChangedTool | undefined;
}

export function OfferedDetail(props: OfServer & { tool: UpstreamTool }): React.ReactElement {
  const { tool, server, change, actions, trans } = props;
  const isAllowed = server.allowed?.includes(tool.name) ?? false;
  return (
    <DetailSection label={trans.__('Chosen tool')} title={<bdi>{inertLine(tool.path)}</bdi>}>
      <Signature tool={tool} trans={trans} />
      <p className="pctx-Detail-quiet">
        {trans.__('%1 of the server %2.', inertLine(tool.name), inertLine(server.name))}
        {` ${effectsText(tool.effects, trans)}`.trimEnd()}
        {isAllowed ? ` ${trans.__('It is called without asking.')}` : ''}
      </p>
      <div className="pctx-Detail-buttons">
        <InsertCall
          trans={trans}
          act={() => {
            actions.insertCall(tool, null);
          }}
        />
        {change && <Approve server={server} actions={actions} trans={trans} />}
        {isAllowed && (
          <button
            className="jp-mod-styled"
            title={trans.__('Ask a person again before this tool is called')}
            onClick={() => {
              actions.askAgain(server, tool.name);
            }}
          >
            {trans.__('Ask again')}
          </button>
        )}
      </div>
      {change && <Change change={change} trans={trans} />}
    </DetailSection>
  );
}

export function WithheldDetail(props: OfServer & { name: string }): React.ReactElement {
  const { name, server, change, actions, trans } = props;
  return (
    <DetailSection label={trans.__('Chosen tool')} title={<bdi>{inertLine(name)}</bdi>}>
      <p className="pctx-Detail-quiet">
        {trans.__(
          'This tool of the server %1 has changed since it was approved. Programs cannot call it until you approve it again.',
          inertLine(server.name)
        )}
      </p>
      <div className="pctx-Detail-buttons">
        <Approve server={server} actions={actions} trans={trans} />
      </div>
      {change && <Change change={change} trans={trans} />}
    </DetailSection>
  );
}

/** The approved description and the present one. */
export function Change({ change, trans }: { change: ChangedTool; trans: TranslationBundle }): React.ReactElement {
  return (
    <>
      <p className="pctx-Detail-quiet">
        {trans.__('Changed: %1', change.what.map(part => differenceName(part, trans)).join(', '))}
      </p>
      <span className="pctx-Row-quiet">{trans.__('Description before')}</span>
      <Code label={trans.__('Description before')}>{inert(change.was)}</Code>
      <span className="pctx-Row-quiet">{trans.__('Description now')}</span>
      <Code label={trans.__('Description now')}>{inert(change.now)}</Code>
      {change.differences !== undefined && change.differences.length > 0 && (
        <>
          <span className="pctx-Row-quiet">{trans.__('Other changes')}</span>
          <Code label={trans.__('Other changes')}>{inert(change.differences.join('\n'))}</Code>
        </>
      )}
    </>
  );
}

/** A button that approves all tools of a server: one tool alone cannot be approved. */
export function Approve({ server, actions, trans }: ToolProps & { server: Upstream }): React.ReactElement {
  const isChanged = (server.changed ?? []).length > 0;
  return (
    <button
      className="jp-mod-styled"
      title={trans.__('Approve all tools of %1 as they are now', inertLine(server.name))}
      onClick={() => {
        actions.tellServer(server, 'approve');
      }}
    >
      {isChanged ? trans.__('Approve as changed') : trans.__('Approve new tools')}
    </button>
  );
}

/** Text for what differs. */
export function differenceName(part: string, trans: TranslationBundle): string {
  switch (part) {
    case 'description':
      return trans.__('description');
    case 'input schema':
      return trans.__('arguments');
    case 'output schema':
      return trans.__('result');
    case 'annotations':
      return trans.__('effects');
    default:
      return inertLine(part, 100);
  }
}

function Signature({ tool, trans }: { tool: ToolState; trans: TranslationBundle }): React.ReactElement {
  return (
    <>
      <Code label={trans.__('Signature')}>{inert(tool.signature)}</Code>
      {tool.description && (
        <p dir="auto" className="pctx-Detail-text">
          {inert(tool.description, 2000)}
        </p>
      )}
    </>
  );
}

function InsertCall({ act, trans }: { act: () => void; trans: TranslationBundle }): React.ReactElement {
  return (
    <button className="jp-mod-styled jp-mod-accept" onClick={act}>
      {trans.__('Insert call')}
    </button>
  );
}
