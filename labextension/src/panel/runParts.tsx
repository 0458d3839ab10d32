/** What the panel and the tab of a run draw alike: what can be done with it, and the error that ended it. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { ExecutionState, Trace } from '../api';
import { inert } from '../inert';
import type { RunActions } from './actions';

/** Characters of a program, or of its result, that are drawn. */
export const MOST_SHOWN = 20_000;

/** The buttons of a run; its trace and its state may not be known yet. */
export function RunButtons(props: {
  run: ExecutionState | undefined;
  trace: Trace | null;
  actions: RunActions;
  trans: TranslationBundle;
}): React.ReactElement {
  const { run, trace, actions, trans } = props;
  return (
    <>
      {trace && (
        <button
          className="jp-mod-styled"
          disabled={trace.code_cut}
          onClick={() => {
            actions.insertRun(trace);
          }}
        >
          {trans.__('Insert as cell')}
        </button>
      )}
      {run?.state === 'running' && (
        <button
          className="jp-mod-styled jp-mod-warn"
          onClick={() => {
            actions.stop(run);
          }}
        >
          {trans.__('Stop')}
        </button>
      )}
    </>
  );
}

export function RunError({ error }: Pick<Trace, 'error'>): React.ReactElement | null {
  return error ? (
    <p className="pctx-Detail-error" dir="auto">
      {inert(error.name ? `${error.name}: ${error.message}` : error.message, 4000)}
    </p>
  ) : null;
}
