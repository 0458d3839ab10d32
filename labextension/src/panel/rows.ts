/**
 * Makes the rows of the panel, with known heights, from its data and the search.
 *
 * Pure functions. Thousands of rows are cheap, because only visible rows are drawn (`inSight`).
 */

import type {
  ChangedTool,
  ExecutionState,
  HeldHandle,
  KernelState,
  Permission,
  Question,
  ToolState,
  Upstream,
  UpstreamTool
} from '../api';

/** Which runs are listed. */
export type RunFilter = 'all' | 'failed' | 'agents';

export type Section = 'questions' | 'permissions' | 'notebooks' | 'handles' | 'servers' | 'runs';

/** Why a section, a notebook, or a server is empty. */
export type Emptiness = 'loading' | 'none' | 'no-match' | 'no-tools' | 'disconnected' | 'untrusted';

/** How a server's tool differs from what was approved, if it does. */
export type Novelty = 'new' | 'changed' | null;

interface Base {
  /** Unique among all rows, and stable for the same thing. */
  readonly key: string;
  readonly level: 1 | 2 | 3;
}

export type PanelRow = Base &
  (
    | { readonly kind: 'section'; readonly section: Section; readonly count: number; readonly isOpen: boolean }
    | {
        readonly kind: 'kernel';
        readonly kernel: KernelState;
        /** Whether it is the kernel of the notebook in front. */
        readonly isFront: boolean;
        readonly isOpen: boolean;
      }
    | { readonly kind: 'tool'; readonly kernel: KernelState; readonly tool: ToolState }
    | {
        readonly kind: 'handle';
        /** The kernel that holds it. */
        readonly owner: string;
        readonly handle: HeldHandle;
        /** When it leaves unless it is used again, in seconds since 1970; null: time does not end it. */
        readonly until: number | null;
      }
    | { readonly kind: 'question'; readonly question: Question }
    | { readonly kind: 'permission'; readonly permission: Permission }
    | { readonly kind: 'server'; readonly server: Upstream; readonly isOpen: boolean }
    | {
        readonly kind: 'offered';
        readonly server: Upstream;
        readonly tool: UpstreamTool;
        readonly novelty: Novelty;
        readonly change: ChangedTool | undefined;
      }
    | {
        readonly kind: 'withheld';
        readonly server: Upstream;
        readonly name: string;
        readonly change: ChangedTool | undefined;
      }
    | {
        readonly kind: 'run';
        readonly run: ExecutionState;
        /** Whether it is a run of a cell of the notebook in front. */
        readonly isFront: boolean;
        /** The number of the cell that shows it; null: no open notebook does. */
        readonly cell: number | null;
      }
    | { readonly kind: 'example'; readonly kernel: KernelState }
    | { readonly kind: 'unloaded'; readonly unloaded: Unloaded }
    | { readonly kind: 'empty'; readonly why: Emptiness; readonly of: Section }
  );

/** Heights in pixels; the style sheet has the same values. */
export const HEIGHTS: Record<PanelRow['kind'], number> = {
  section: 28,
  kernel: 28,
  tool: 42,
  question: 42,
  permission: 42,
  handle: 42,
  server: 42,
  offered: 42,
  withheld: 42,
  run: 42,
  empty: 28,
  example: 100,
  unloaded: 34
};

/** The objects that a kernel holds for programs. */
export interface HeldByKernel {
  readonly kernel: string;
  readonly list: readonly HeldHandle[];
  /** How many more there are that are not listed. */
  readonly more: number;
  /** When the list was received, in seconds since 1970. */
  readonly at: number;
}

/** The kernel of the notebook in front has not loaded pctx. */
export interface Unloaded {
  readonly isLoading: boolean;
  /** Why the last attempt to load it failed; empty: it did not. */
  readonly error: string;
}

/** The data of the panel. `undefined`: there is no answer yet, or servers are not requested. */
export interface PanelData {
  readonly kernels: readonly KernelState[] | undefined;
  /** By a kernel's id. */
  readonly tools: ReadonlyMap<string, readonly ToolState[]>;
  /** By a server's name. */
  readonly offered: ReadonlyMap<string, readonly UpstreamTool[]>;
  readonly servers: readonly Upstream[] | undefined;
  readonly questions: readonly Question[];
  readonly permissions: readonly Permission[];
  /** The kernel of the notebook in front; null: there is none. */
  readonly front: string | null;
  /** What this kernel, or the one that was in front before, holds; null: nothing is known. */
  readonly handles: HeldByKernel | null;
  /** Null: its kernel has loaded pctx, or cannot. */
  readonly unloaded?: Unloaded | null;
  readonly runs: readonly ExecutionState[] | undefined;
  /** The numbers of the cells that show runs, by the run's id. */
  readonly cells?: ReadonlyMap<string, number>;
  /** Runs that the server has found in its history for the search; some of them may be among `runs`. */
  readonly past: readonly ExecutionState[];
}

/** The key of a server's row. */
export function serverKey(name: string): string {
  return `server ${name}`;
}

/** An id for `aria-activedescendant`. Keys may contain unpaired surrogates, which cannot be encoded. */
export function idOf(row: Pick<PanelRow, 'key'>): string {
  return `pctx-${encodeURIComponent(row.key.replace(/[\ud800-\udfff]/gu, '\ufffd'))}`;
}

/** The words of a query. */
export function wordsOf(query: string): string[] {
  return query.toLowerCase().split(/\s+/).filter(Boolean);
}

/**
 * The rows of all sections.
 *
 * @param query Words that each thing, or its parent, must contain.
 * @param toggled Keys of rows that differ from their initial state. Servers begin closed, and so do other notebooks than
 *   the one in front; all other rows begin open.
 * @param filter Which runs are listed.
 */
export function rowsOf(
  known: PanelData,
  query: string,
  toggled: ReadonlySet<string>,
  filter: RunFilter = 'all'
): PanelRow[] {
  const words = wordsOf(query);
  const rows: PanelRow[] = [];
  if (known.questions.length > 0) {
    // Shown for every search, because a program waits.
    add(rows, 'questions', known.questions, toggled, [], questions =>
      questions.map(question => ({ kind: 'question', key: `question ${question.id}`, level: 2, question }))
    );
  }
  if (known.permissions.length > 0) {
    add(rows, 'permissions', known.permissions, toggled, words, permissions =>
      permissions
        .filter(one => has(words, one.tool, one.server ?? '', one.notebook ?? ''))
        .map(permission => ({ kind: 'permission', key: `permission ${permission.id}`, level: 2, permission }))
    );
  }
  add(rows, 'notebooks', known.kernels, toggled, words, kernels => [
    ...unloaded(known, words),
    ...notebooks(kernels, known.tools, known.front, words, toggled)
  ]);
  const held = known.handles;
  if (held !== null && held.kernel === known.front && held.list.length > 0) {
    add(rows, 'handles', held.list, toggled, words, list => handles(list, held, words), words.length > 0, held.more);
  }
  if (known.servers !== undefined) {
    add(rows, 'servers', known.servers, toggled, words, list => servers(list, known.offered, words, toggled));
  }
  add(
    rows,
    'runs',
    known.runs,
    toggled,
    words,
    runs => {
      const found = runs.filter(run =>
        has(words, run.title, run.notebook ?? '', run.agent ?? '', run.error ?? '', run.asked_by, run.state)
      );
      // The server has searched the whole code of past runs, the latest first. Their ids may occur twice; keys may not.
      const all = new Map<string, ExecutionState>();
      for (const run of [...found, ...(words.length > 0 ? known.past : [])]) {
        if (!all.has(run.id)) {
          all.set(run.id, run);
        }
      }
      return [...all.values()]
        .filter(run => isListed(run, filter))
        .map(run => ({ run, isFront: isOf(run, known.front) }))
        .sort((one, other) => Number(other.isFront) - Number(one.isFront)) // the others keep their order
        .map(({ run, isFront }) => {
          const cell = known.cells?.get(run.id) ?? null;
          return { kind: 'run', key: `run ${run.id}`, level: 2, run, isFront, cell };
        });
    },
    filter !== 'all'
  );
  return rows;
}

function isListed(run: ExecutionState, filter: RunFilter): boolean {
  switch (filter) {
    case 'all':
      return true;
    case 'failed':
      return run.state === 'failed';
    case 'agents':
      return run.asked_by === 'agent';
  }
}

/**
 * Whether a run is of a cell of a kernel's notebook.
 *
 * Runs of agents stay in the order of time: one whose only call was denied has called no tool of any notebook, and
 * must not be listed after earlier ones.
 */
function isOf(run: ExecutionState, kernelId: string | null): boolean {
  return kernelId !== null && run.kernel_id === kernelId;
}

/** The number of a row, from 1, among the rows with the same parent, and their count. */
export interface RowPosition {
  readonly number: number;
  readonly of: number;
}

/** The position of each row, for screen readers: the page contains visible rows only. */
export function placesOf(rows: readonly PanelRow[]): RowPosition[] {
  const groups: { size: number }[] = [];
  const found = rows.map(({ level }) => {
    groups.length = Math.min(groups.length, level); // deeper levels have ended
    const group = (groups[level - 1] ??= { size: 0 });
    return { number: ++group.size, group };
  });
  return found.map(({ number, group }) => ({ number, of: group.size }));
}

/** The top of each row, in pixels, and as the last element the height of all rows. */
export function offsetsOf(rows: readonly PanelRow[]): Float64Array {
  const offsets = new Float64Array(rows.length + 1);
  rows.forEach((row, index) => {
    offsets[index + 1] = (offsets[index] ?? 0) + HEIGHTS[row.kind];
  });
  return offsets;
}

/** The first visible row, and the first row after the visible ones, with a margin on both sides. */
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
  rows: PanelRow[],
  section: Section,
  known: readonly T[] | undefined,
  toggled: ReadonlySet<string>,
  words: string[],
  rowsOf: (known: readonly T[]) => PanelRow[],
  isFiltered = words.length > 0,
  more = 0
): void {
  const key = `section ${section}`;
  const isOpen = !toggled.has(key);
  rows.push({ kind: 'section', key, level: 1, section, count: (known?.length ?? 0) + more, isOpen });
  if (!isOpen) {
    return;
  }
  const found = known === undefined ? [] : rowsOf(known);
  if (found.length > 0) {
    // No spread: there may be more rows than a call may have arguments.
    found.forEach(row => rows.push(row));
    return;
  }
  const why =
    known === undefined ? 'loading' : (isFiltered || words.length > 0) && known.length > 0 ? 'no-match' : 'none';
  rows.push({ kind: 'empty', key: `${key} empty`, level: 2, why, of: section });
}

function handles(list: readonly HeldHandle[], { kernel, at }: HeldByKernel, words: string[]): PanelRow[] {
  return list
    .filter(one => has(words, one.label, one.kind, one.id, ...(one.names ?? [])))
    .map(handle => {
      const until = handle.left_s == null ? null : at + handle.left_s;
      return { kind: 'handle', key: `handle ${kernel} ${handle.id}`, level: 2, owner: kernel, handle, until };
    });
}

/** A row that loads pctx in the kernel of the notebook in front, if it has not. */
function unloaded(known: PanelData, words: string[]): PanelRow[] {
  const isThere = known.kernels?.some(kernel => kernel.kernel_id === known.front && kernel.connected) ?? false;
  return known.unloaded && known.front !== null && !isThere && words.length === 0
    ? [{ kind: 'unloaded', key: 'unloaded', level: 2, unloaded: known.unloaded }]
    : [];
}

function notebooks(
  kernels: readonly KernelState[],
  tools: ReadonlyMap<string, readonly ToolState[]>,
  front: string | null,
  words: string[],
  toggled: ReadonlySet<string>
): PanelRow[] {
  const rows: PanelRow[] = [];
  const isThere = kernels.some(kernel => kernel.kernel_id === front);
  // The notebook in front first; the others keep their order.
  const sorted = [...kernels].sort((one, other) => Number(other.kernel_id === front) - Number(one.kernel_id === front));
  for (const kernel of sorted) {
    const isFront = kernel.kernel_id === front;
    const isWhole = has(words, kernel.name ?? '', kernel.path ?? '');
    const known = tools.get(kernel.kernel_id);
    const found = isWhole ? known : known?.filter(tool => has(words, textOf(tool)));
    if (!isWhole && !found?.length) {
      continue;
    }
    const key = `kernel ${kernel.kernel_id}`;
    const isOpen = words.length > 0 || toggled.has(key) === (isThere && !isFront);
    rows.push({ kind: 'kernel', key, level: 2, kernel, isFront, isOpen });
    if (!isOpen) {
      continue;
    }
    found?.forEach(tool =>
      rows.push({ kind: 'tool', key: `tool ${kernel.kernel_id} ${tool.path}`, level: 3, kernel, tool })
    );
    if (isFront && kernel.connected && kernel.tool_count === 0) {
      rows.push({ kind: 'example', key: `${key} example`, level: 3, kernel });
    } else if (!found?.length) {
      const why = !kernel.connected ? 'disconnected' : kernel.tool_count === 0 ? 'no-tools' : 'loading';
      rows.push({ kind: 'empty', key: `${key} empty`, level: 3, why, of: 'notebooks' });
    }
  }
  return rows;
}

function servers(
  list: readonly Upstream[],
  offered: ReadonlyMap<string, readonly UpstreamTool[]>,
  words: string[],
  toggled: ReadonlySet<string>
): PanelRow[] {
  const rows: PanelRow[] = [];
  for (const server of list) {
    const isWhole = has(words, server.name, server.namespace, server.error ?? '');
    const known = offered.get(server.name);
    const found = isWhole ? known : known?.filter(tool => has(words, textOf(tool)));
    const withheld = (server.withheld ?? []).filter(name => isWhole || has(words, name));
    if (!isWhole && !found?.length && withheld.length === 0) {
      continue;
    }
    const key = serverKey(server.name);
    const isOpen = words.length > 0 || toggled.has(key);
    rows.push({ kind: 'server', key, level: 2, server, isOpen });
    if (!isOpen) {
      continue;
    }
    const changes = new Map(server.changed?.map(change => [change.name, change]));
    const fresh = new Set(server.new);
    // First the tools that wait for an approval.
    withheld.forEach(name =>
      rows.push({ kind: 'withheld', key: `withheld ${key} ${name}`, level: 3, server, name, change: changes.get(name) })
    );
    found?.forEach(tool => {
      const change = changes.get(tool.name);
      const novelty = change ? 'changed' : fresh.has(tool.name) ? 'new' : null;
      rows.push({ kind: 'offered', key: `tool ${key} ${tool.path}`, level: 3, server, tool, novelty, change });
    });
    if (!found?.length && withheld.length === 0) {
      const isThere = server.state === 'ready' && !server.tools;
      const isAway = server.state === 'down' || server.state === 'needs sign-in';
      const isUntrusted = server.state === 'untrusted';
      const why = isUntrusted ? 'untrusted' : isAway ? 'disconnected' : isThere ? 'no-tools' : 'loading';
      rows.push({ kind: 'empty', key: `${key} empty`, level: 3, why, of: 'servers' });
    }
  }
  return rows;
}

const texts = new WeakMap<ToolState, string>();

/** The text of a tool that is searched; cached, because each keystroke searches thousands of tools. */
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
