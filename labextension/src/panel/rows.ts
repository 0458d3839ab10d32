/**
 * What the panel lists, as rows of known heights: from what is known and what is searched for to what is seen.
 *
 * Pure. Thousands of rows are cheap, as only those in sight are ever drawn (`inSight`).
 */

import type { ExecutionState, KernelState, Question, ToolState, Upstream } from '../api';

export type Section = 'questions' | 'notebooks' | 'servers' | 'runs';

/** Why a section, or a notebook, is empty. */
export type Emptiness = 'loading' | 'none' | 'no-match' | 'no-tools' | 'disconnected' | 'failed';

interface Base {
  /** Unique among all rows, the same for the same thing. */
  readonly key: string;
  readonly level: 1 | 2 | 3;
}

export type Row = Base &
  (
    | { readonly kind: 'section'; readonly section: Section; readonly count: number; readonly isOpen: boolean }
    | { readonly kind: 'kernel'; readonly kernel: KernelState; readonly isOpen: boolean }
    | { readonly kind: 'tool'; readonly kernel: KernelState; readonly tool: ToolState }
    | { readonly kind: 'question'; readonly question: Question }
    | { readonly kind: 'server'; readonly server: Upstream }
    | { readonly kind: 'run'; readonly run: ExecutionState }
    | { readonly kind: 'empty'; readonly why: Emptiness; readonly of: Section; readonly message?: string }
  );

/** Pixels; the style sheet has the same. */
export const HEIGHTS: Record<Row['kind'], number> = {
  section: 28,
  kernel: 28,
  tool: 42,
  question: 42,
  server: 42,
  run: 42,
  empty: 28
};

/** What is known. `undefined`: nobody has answered yet, or of servers nobody is asked. */
export interface Known {
  readonly kernels: readonly KernelState[] | undefined;
  readonly tools: ReadonlyMap<string, readonly ToolState[]>;
  readonly servers: readonly Upstream[] | undefined;
  readonly questions: readonly Question[];
  readonly runs: readonly ExecutionState[] | undefined;
}

/** The rows of all sections; `query`: words that each thing must have, or belong to what has them. */
export function rowsOf(known: Known, query: string, closed: ReadonlySet<string>): Row[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const rows: Row[] = [];
  if (known.questions.length > 0) {
    // Whatever is searched: somebody waits.
    add(rows, 'questions', known.questions, closed, [], questions =>
      questions.map(question => ({ kind: 'question', key: `question ${question.id}`, level: 2, question }))
    );
  }
  add(rows, 'notebooks', known.kernels, closed, words, kernels => notebooks(kernels, known.tools, words, closed));
  if (known.servers !== undefined) {
    add(rows, 'servers', known.servers, closed, words, servers =>
      servers
        .filter(server => has(words, server.name, server.namespace, server.error ?? ''))
        .map(server => ({ kind: 'server', key: `server ${server.name}`, level: 2, server }))
    );
  }
  add(rows, 'runs', known.runs, closed, words, runs =>
    runs
      .filter(run => has(words, run.title, run.notebook ?? '', run.error ?? '', run.asked_by, run.state))
      .map(run => ({ kind: 'run', key: `run ${run.id}`, level: 2, run }))
  );
  return rows;
}

/** Where each row begins, in pixels; one more than there are rows, the last being the height of all. */
export function offsetsOf(rows: readonly Row[]): Float64Array {
  const offsets = new Float64Array(rows.length + 1);
  rows.forEach((row, index) => {
    offsets[index + 1] = (offsets[index] ?? 0) + HEIGHTS[row.kind];
  });
  return offsets;
}

/** The first row in sight, and the first one that is no more, with some more on both sides. */
export function inSight(offsets: Float64Array, top: number, height: number, more = 200): [number, number] {
  const count = offsets.length - 1;
  const first = Math.max(0, firstBeyond(offsets, top - more) - 1);
  return [first, Math.min(count, firstBeyond(offsets, top + height + more))];
}

function firstBeyond(offsets: Float64Array, position: number): number {
  let low = 0;
  let high = offsets.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((offsets[middle] ?? 0) > position) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

function add<T>(
  rows: Row[],
  section: Section,
  known: readonly T[] | undefined,
  closed: ReadonlySet<string>,
  words: string[],
  rowsOf: (known: readonly T[]) => Row[]
): void {
  const key = `section ${section}`;
  const isOpen = !closed.has(key);
  rows.push({ kind: 'section', key, level: 1, section, count: known?.length ?? 0, isOpen });
  if (!isOpen) {
    return;
  }
  const found = known === undefined ? [] : rowsOf(known);
  if (found.length > 0) {
    // No spread: there may be more of them than arguments are allowed.
    found.forEach(row => rows.push(row));
    return;
  }
  const why = known === undefined ? 'loading' : words.length > 0 && known.length > 0 ? 'no-match' : 'none';
  rows.push({ kind: 'empty', key: `${key} empty`, level: 2, why, of: section });
}

function notebooks(
  kernels: readonly KernelState[],
  tools: ReadonlyMap<string, readonly ToolState[]>,
  words: string[],
  closed: ReadonlySet<string>
): Row[] {
  const rows: Row[] = [];
  for (const kernel of kernels) {
    const isWhole = has(words, kernel.name ?? '', kernel.path ?? '');
    const known = tools.get(kernel.kernel_id);
    const found = isWhole ? known : known?.filter(tool => has(words, textOf(tool)));
    if (!isWhole && !found?.length) {
      continue;
    }
    const key = `kernel ${kernel.kernel_id}`;
    const isOpen = words.length > 0 || !closed.has(key);
    rows.push({ kind: 'kernel', key, level: 2, kernel, isOpen });
    if (!isOpen) {
      continue;
    }
    found?.forEach(tool =>
      rows.push({ kind: 'tool', key: `tool ${kernel.kernel_id} ${tool.path}`, level: 3, kernel, tool })
    );
    if (!found?.length) {
      const why = !kernel.connected ? 'disconnected' : kernel.tool_count === 0 ? 'no-tools' : 'loading';
      rows.push({ kind: 'empty', key: `${key} empty`, level: 3, why, of: 'notebooks' });
    }
  }
  return rows;
}

const texts = new WeakMap<ToolState, string>();

/** What is searched of a tool; kept, as each key that is pressed asks for thousands. */
function textOf(tool: ToolState): string {
  let text = texts.get(tool);
  if (text === undefined) {
    text = `${tool.path} ${tool.shared_as ?? ''} ${tool.description} ${tool.signature}`.toLowerCase();
    texts.set(tool, text);
  }
  return text;
}

function has(words: string[], ...parts: string[]): boolean {
  if (words.length === 0) {
    return true;
  }
  const text = parts.join(' ').toLowerCase();
  return words.every(word => text.includes(word));
}
