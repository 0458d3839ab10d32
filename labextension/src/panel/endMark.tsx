/** Draws how a run ended. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { ExecutionState } from '../api';
import { endName } from './names';

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
