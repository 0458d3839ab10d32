/** Runs for tests of the panel. */

import type { ExecutionState } from '../../src/api';

/** A run that has ended well; its title is its id unless there is another. */
export function runOf(known: Pick<ExecutionState, 'id' | 'asked_by'> & Partial<ExecutionState>): ExecutionState {
  return {
    title: known.id,
    notebook: null,
    kernel_id: null,
    state: 'ok',
    started_at: 0,
    duration_s: 1,
    calls: 0,
    failed_calls: 0,
    error: null,
    ...known
  };
}
