/** Draws the panel: its head, the list, and the details of the chosen row below it. It holds no state, and sends no requests. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { Drafts } from '../approvals/model';
import { inert } from '../inert';
import type { Actions } from './actions';
import { Detail, hasDetail } from './details';
import { Divider } from './divider';
import type { PanelModel } from './model';
import { filterName } from './names';
import type { RunFilter } from './rows';
import { Tree } from './tree';

interface PanelProps {
  model: PanelModel;
  drafts: Drafts;
  actions: Actions;
  trans: TranslationBundle;
}

const FILTERS: readonly RunFilter[] = ['all', 'failed', 'agents'];

export function Panel({ model, drafts, actions, trans }: PanelProps): React.ReactElement {
  if (model.connection === 'absent') {
    return (
      <Message
        text={trans.__(
          'This Jupyter server does not have pctx. Install pctx-jupyter in its environment, or enable it there (jupyter server extension enable pctx_jupyter), and restart the server.'
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
      {model.connection === 'ready' && model.trouble !== '' && (
        <div className="pctx-Panel-note pctx-mod-warning" role="status">
          {inert(model.trouble, 500)}
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
