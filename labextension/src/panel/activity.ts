/**
 * Which guest programs have called a notebook's tools, grouped by their owner. Pure functions.
 *
 * A notebook's own programs are not among them: the output of the cell shows those.
 */

import type { ExecutionState } from '../api';

/** The programs of one owner that called the tools of one notebook. */
export interface Activity {
  /** Identifies the owner. */
  readonly key: string;
  /** The programs, the latest first; there is at least one. */
  readonly runs: readonly [ExecutionState, ...ExecutionState[]];
  /** The number of calls of this notebook's tools. */
  readonly calls: number;
  /** Whether there may be more of both: the server no longer lists its earliest programs. */
  readonly isCut: boolean;
}

/**
 * The activity in a notebook, the latest first.
 *
 * @param runs All runs that the server knows, the latest first.
 * @param closed By owner, when the last program began that is left out, with all earlier ones.
 */
export function activitiesOf(
  runs: readonly ExecutionState[],
  kernelId: string,
  closed: ReadonlyMap<string, number> = new Map()
): Activity[] {
  const since = completeSince(runs);
  const found = new Map<string, Activity & { runs: [ExecutionState, ...ExecutionState[]]; calls: number }>();
  for (const run of runs) {
    const calls = Number(run.called?.[kernelId] ?? 0);
    const key = JSON.stringify([run.asked_by, run.asked_by === 'agent' ? (run.agent ?? '') : (run.notebook ?? '')]);
    if (calls === 0 || run.kernel_id === kernelId || run.started_at <= (closed.get(key) ?? 0)) {
      continue;
    }
    const activity = found.get(key);
    if (activity) {
      activity.runs.push(run);
      activity.calls += calls;
    } else {
      found.set(key, { key, runs: [run], calls, isCut: (closed.get(key) ?? 0) < since });
    }
  }
  return [...found.values()];
}

/**
 * When the earliest run began of those after which none is missing; 0: none is missing at all.
 *
 * A run that goes on stays in the list when later ones are dropped.
 */
function completeSince(runs: readonly ExecutionState[]): number {
  const latest = runs[0]?.ordinal ?? 0;
  if (latest <= runs.length) {
    return 0;
  }
  const gap = runs.findIndex((run, index) => run.ordinal !== latest - index);
  return runs[(gap < 0 ? runs.length : gap) - 1]?.started_at ?? 0;
}
