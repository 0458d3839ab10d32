/**
 * The state of the panel and the status bar: kernels and their tools, runs, the search, the chosen row and the visible rows.
 *
 * It requests data when the server reports a change, never by the clock, and only data that is shown. It never touches the
 * DOM.
 */

import { type ISignal, Signal } from '@lumino/signaling';

import type * as api from '../api';
import { ApiError } from '../api';
import { type Loading, PENDING, failed, ready } from '../loading';
import { TimelineModel } from '../results/model';
import { RequestTurns } from './requestTurns';
import {
  type PanelData,
  type RowPosition,
  type RunFilter,
  type PanelRow,
  inSight,
  offsetsOf,
  placesOf,
  rowsOf,
  serverKey,
  type Unloaded,
  wordsOf
} from './rows';
import { ToolLists } from './toolLists';

/** The requests of the model: `api.ts`, or a replacement in tests. */
export type Source = Pick<
  typeof api,
  | 'kernels'
  | 'kernel'
  | 'executions'
  | 'history'
  | 'handles'
  | 'trace'
  | 'status'
  | 'watch'
  | 'approvals'
  | 'permissions'
  | 'upstreams'
  | 'upstream'
>;

/** `absent`: the server has no pctx; `lost`: it does not answer, and is retried. */
export type PanelConnection = 'pending' | 'ready' | 'absent' | 'lost';

/** Milliseconds before a lost server is retried: the first time, and at most. */
const RETRY_MS = [1_000, 30_000] as const;

/** The least and the greatest part of the panel's height that its details have: list and details stay visible. */
export const LEAST_SPLIT = 0.15;
export const MOST_SPLIT = 0.8;

/** Runs a function later; tests pass their own. */
export type Later = (act: () => void, milliseconds: number) => void;

export class PanelModel {
  connection: PanelConnection = 'pending';
  status: api.EngineStatus | null = null;
  /** The trace of the chosen run. */
  trace: Loading<api.Trace> | null = null;
  /** The timeline of the chosen run; it keeps its unfolded rows while the run continues. */
  timeline: TimelineModel | null = null;
  query = '';
  /** Which runs are listed. */
  filter: RunFilter = 'all';
  /** The part of the panel's height that the details have; null: as much as they need, up to a half. */
  split: number | null = null;
  /** The chosen row, by its key. */
  chosen: string | null = null;
  /** The part of the list to scroll into view, from and to, in pixels; the view resets it afterwards. */
  wanted: readonly [number, number] | null = null;

  readonly #source: Source;
  readonly #later: Later;
  readonly #changed = new Signal<this, void>(this);
  readonly #runs = new Signal<this, readonly api.ExecutionState[]>(this);
  readonly #questions = new Signal<this, readonly api.Question[]>(this);
  readonly #catalogs = new Signal<this, void>(this);
  #known: PanelData = {
    kernels: undefined,
    tools: new Map(),
    servers: undefined,
    offered: new Map(),
    runs: undefined,
    past: [],
    questions: [],
    permissions: [],
    front: null,
    handles: null
  };
  #toggled = new Set<string>();
  #rows: PanelRow[] | null = null;
  #offsets: Float64Array | null = null;
  #places: readonly RowPosition[] | null = null;
  #top = 0;
  #height = 0;
  #isShown = false;
  /** What was chosen before a question was. */
  #before: string | null = null;
  #signal: AbortSignal | null = null;
  #failures = 0;
  readonly #requests = new RequestTurns(() => this.#signal?.aborted ?? false);
  readonly #lists: ToolLists;
  /** The kernels for which this page shows the programs of others. */
  #drawn: readonly string[] = [];
  #draw: ((kernels: readonly string[]) => void) | null = null;

  constructor(source: Source, later: Later = (act, milliseconds) => void setTimeout(act, milliseconds)) {
    this.#source = source;
    this.#lists = new ToolLists(source);
    this.#later = later;
  }

  /** Emitted when the calls that wait for consent were requested again. */
  get questionsChanged(): ISignal<this, readonly api.Question[]> {
    return this.#questions;
  }

  /** Emitted when something that is shown has changed. */
  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  /** Emitted when the server says that tools may have changed. */
  get catalogsChanged(): ISignal<this, void> {
    return this.#catalogs;
  }

  /** Emitted when the runs were requested again. */
  get runsChanged(): ISignal<this, readonly api.ExecutionState[]> {
    return this.#runs;
  }

  get runs(): readonly api.ExecutionState[] {
    return this.#known.runs ?? [];
  }

  /** A run that is listed, now or by the search. */
  run(id: string): api.ExecutionState | undefined {
    return this.runs.find(run => run.id === id) ?? this.#known.past.find(run => run.id === id);
  }

  get questions(): readonly api.Question[] {
    return this.#known.questions;
  }

  get kernels(): readonly api.KernelState[] {
    return this.#known.kernels ?? [];
  }

  /** Follow the server, until `signal` aborts. */
  start(signal: AbortSignal): void {
    this.#signal = signal;
    signal.addEventListener('abort', () => {
      Signal.clearData(this);
    });
    void this.#connect();
  }

  /** Retry a server that had no pctx, or was lost. */
  retry(): void {
    if (this.connection !== 'ready') {
      void this.#connect();
    }
  }

  /** Set whether the panel is visible: tools are requested only then. */
  show(isShown: boolean): void {
    this.#isShown = isShown;
    this.#changed.emit();
    if (isShown && this.connection === 'ready') {
      this.#requests.send('tools', () => this.#askForTools());
      this.#requests.send('offered', () => this.#askForOffered());
      this.#askForHandles();
    }
  }

  /** Set the kernel of the notebook in front: it is listed first, and its handles are. */
  follow(kernelId: string | null): void {
    if (kernelId !== this.#known.front) {
      this.#know({ front: kernelId });
      this.#askForHandles();
    }
  }

  /** Whether the panel is visible, and the kernel of the notebook in front is not among those that the server knows. */
  get isFrontUnknown(): boolean {
    const { front, kernels } = this.#known;
    const isKnown = kernels?.some(kernel => kernel.kernel_id === front && kernel.connected) ?? true;
    return this.#isShown && front !== null && !isKnown;
  }

  /** Set whether the kernel of the notebook in front has not loaded pctx. */
  unload(unloaded: Unloaded | null): void {
    if (JSON.stringify(unloaded) !== JSON.stringify(this.#known.unloaded ?? null)) {
      this.#know({ unloaded });
    }
  }

  /** Report for which kernels this page shows the programs of others; these kernels then show no notices of them. */
  draw(kernels: readonly string[]): void {
    const sorted = [...kernels].sort();
    if (sorted.join() !== this.#drawn.join()) {
      this.#drawn = sorted;
      this.#draw?.(sorted);
    }
  }

  search(query: string): void {
    this.query = query;
    this.#rows = null;
    this.wanted = [0, 0];
    this.#changed.emit();
    this.#requests.send('offered', () => this.#askForOffered());
    this.#requests.send('history', () => this.#askForPast());
  }

  /** List all runs, or some of them. */
  filterRuns(filter: RunFilter): void {
    this.filter = filter;
    this.#rows = null;
    this.#changed.emit();
  }

  /** Set the numbers of the cells that show runs, by the run's id. */
  number(cells: ReadonlyMap<string, number>): void {
    const before = this.#known.cells ?? new Map<string, number>();
    if (cells.size !== before.size || [...cells].some(([id, cell]) => before.get(id) !== cell)) {
      this.#know({ cells });
    }
  }

  /** Give the details a part of the panel's height. */
  divide(part: number): void {
    this.split = Math.min(MOST_SPLIT, Math.max(LEAST_SPLIT, part));
    this.#changed.emit();
  }

  scroll(top: number, height: number): void {
    if (top === this.#top && height === this.#height) {
      return;
    }
    const before = this.sight;
    [this.#top, this.#height] = [top, height];
    const now = this.sight;
    if (before[0] !== now[0] || before[1] !== now[1]) {
      this.#changed.emit();
    }
  }

  get rows(): readonly PanelRow[] {
    if (this.#rows === null) {
      this.#rows = rowsOf(this.#known, this.query, this.#toggled, this.filter);
      this.#offsets = null;
      this.#places = null;
    }
    return this.#rows;
  }

  /** The position of each row among the rows with the same parent. */
  get places(): readonly RowPosition[] {
    const rows = this.rows; // this resets the positions of other rows
    this.#places ??= placesOf(rows);
    return this.#places;
  }

  /** The top of each row, in pixels. */
  get offsets(): Float64Array {
    const rows = this.rows; // this resets the offsets of other rows
    this.#offsets ??= offsetsOf(rows);
    return this.#offsets;
  }

  /** The first row to draw, and the first row after the last one to draw. */
  get sight(): [number, number] {
    return inSight(this.offsets, this.#top, this.#height);
  }

  get chosenRow(): PanelRow | undefined {
    return this.rows.find(row => row.key === this.chosen);
  }

  choose(key: string): void {
    if (key === this.chosen) {
      return;
    }
    if (!this.chosen?.startsWith('question ')) {
      this.#before = this.chosen;
    }
    this.chosen = key;
    const row = this.chosenRow;
    this.trace = row?.kind === 'run' ? PENDING : null;
    this.#unroll(row?.kind === 'run');
    this.#reveal();
    this.#changed.emit();
    if (row?.kind === 'run') {
      void this.#askForTrace(row.run.id);
    }
  }

  /** Move the choice down or up by a number of rows; without a choice, choose the first row, or the last for `Infinity`. */
  move(by: number): void {
    const at = this.rows.findIndex(row => row.key === this.chosen);
    const to = at < 0 && by < Infinity ? 0 : Math.min(this.rows.length - 1, Math.max(0, at + by));
    const row = this.rows[to];
    if (row) {
      this.choose(row.key);
    }
  }

  /** Open or close the chosen row; if it cannot be closed, choose its parent. */
  fold(open: boolean): void {
    const row = this.chosenRow;
    if (!row) {
      return;
    }
    if ('isOpen' in row) {
      if (row.isOpen !== open) {
        this.toggle(row.key);
        return;
      }
      if (open) {
        this.move(1);
        return;
      }
    }
    if (!open) {
      const at = this.rows.indexOf(row);
      const above = this.rows
        .slice(0, at)
        .reverse()
        .find(other => other.level < row.level);
      if (above) {
        this.choose(above.key);
      }
    }
  }

  /** Choose nothing: the list has the whole panel. */
  unchoose(): void {
    this.chosen = this.trace = null;
    this.#unroll(false);
    this.#changed.emit();
  }

  /** Choose a row that begins closed, and open it. */
  open(key: string): void {
    this.choose(key);
    if (!this.#toggled.has(key)) {
      this.toggle(key);
    }
  }

  /** Open a closed row, or close an open one. */
  toggle(key: string): void {
    if (!this.#toggled.delete(key)) {
      this.#toggled.add(key);
    }
    this.#rows = null;
    this.#changed.emit();
    this.#requests.send('offered', () => this.#askForOffered());
  }

  /** Scroll the chosen row into view again, after the list has changed its height. */
  reveal(): void {
    if (this.chosen !== null) {
      this.#reveal();
      this.#changed.emit();
    }
  }

  /** Replace a kernel's data after the user has changed it. */
  replace(kernel: api.KernelState): void {
    this.#know({ kernels: this.kernels.map(old => (old.kernel_id === kernel.kernel_id ? kernel : old)) });
  }

  async #connect(): Promise<void> {
    const signal = this.#signal;
    if (!signal || signal.aborted) {
      return;
    }
    try {
      await this.#askForStatus();
    } catch (error) {
      if (error instanceof ApiError && error.status !== 0 && error.status < 500) {
        this.#become('absent');
      } else {
        this.#lose();
      }
      return;
    }
    this.#source.watch(
      {
        opened: draw => {
          this.#failures = 0;
          this.#draw = draw;
          draw(this.#drawn);
          this.#lists.restart();
          this.#become('ready');
          (['sessions', 'executions', 'upstreams', 'approvals'] as const).forEach(change => {
            this.#onChange(change);
          });
        },
        changed: change => {
          this.#onChange(change);
        },
        ended: () => {
          this.#draw = null;
          this.#lose();
        }
      },
      signal
    );
  }

  #lose(): void {
    if (this.#signal?.aborted) {
      return;
    }
    this.#become('lost');
    const wait = Math.min(RETRY_MS[1], RETRY_MS[0] * 2 ** this.#failures++);
    this.#later(() => void this.#connect(), wait);
  }

  #become(connection: PanelConnection): void {
    this.connection = connection;
    this.#changed.emit();
  }

  #onChange(change: api.Change): void {
    if (change === 'tools' || change === 'sessions' || change === 'upstreams') {
      this.#catalogs.emit();
    }
    switch (change) {
      case 'tools':
      case 'sessions':
        this.#requests.send('kernels', async () => {
          this.#know({ kernels: await this.#source.kernels() });
          this.#askForHandles();
          this.#requests.send('tools', () => this.#askForTools());
          await this.#askForStatus();
        });
        this.#askForPermissions();
        break;
      case 'handles':
        this.#askForHandles();
        break;
      case 'hosts':
        this.#requests.send('hosts', () => this.#askForStatus());
        break;
      case 'executions':
        this.#requests.send('executions', async () => {
          const runs = await this.#source.executions();
          this.#know({ runs });
          this.#runs.emit(runs);
          await this.#askForStatus();
          const row = this.chosenRow;
          if (row?.kind === 'run') {
            await this.#askForTrace(row.run.id);
          }
        });
        break;
      case 'approvals':
        this.#requests.send('approvals', async () => {
          const questions = await this.#source.approvals();
          this.#know({ questions });
          this.#chooseNext();
          this.#questions.emit(questions);
        });
        this.#askForPermissions();
        break;
      case 'upstreams':
        this.#askForPermissions();
        this.#requests.send('upstreams', async () => {
          this.#know({ servers: await this.#source.upstreams() });
          this.#requests.send('offered', () => this.#askForOffered());
        });
        break;
    }
  }

  #askForPermissions(): void {
    this.#requests.send('permissions', async () => {
      this.#know({ permissions: await this.#source.permissions() });
    });
  }

  /** Choose the next question after the chosen one was answered; without one, choose what was chosen before. */
  #chooseNext(): void {
    const isGone = this.chosen?.startsWith('question ') && this.chosenRow === undefined;
    const [next] = this.#known.questions;
    if (next && (isGone || this.chosen === null)) {
      this.choose(`question ${next.id}`);
    } else if (isGone) {
      const before = this.#before;
      this.chosen = null;
      if (before !== null && this.rows.some(row => row.key === before)) {
        this.choose(before);
      }
    }
  }

  async #askForStatus(): Promise<void> {
    this.status = await this.#source.status();
    this.#changed.emit();
  }

  /** Request the handles of the kernel in front, if it is connected. */
  #askForHandles(): void {
    this.#requests.send('handles', async () => {
      const { front } = this.#known;
      const isThere = this.kernels.some(kernel => kernel.kernel_id === front && kernel.connected);
      if (!this.#isShown || this.connection !== 'ready') {
        return;
      }
      let handles: PanelData['handles'] = null;
      if (front !== null && isThere) {
        const { handles: list, more = 0 } = await this.#source.handles(front);
        handles = { kernel: front, list, more, at: Date.now() / 1000 };
      }
      this.#know({ handles });
    });
  }

  async #askForTools(): Promise<void> {
    if (this.#isShown) {
      await this.#lists.ofKernels(this.kernels, this.#known.tools, tools => {
        this.#know({ tools });
      });
    }
  }

  /** Request the tools of the servers that are open; during a search, of all servers. */
  async #askForOffered(): Promise<void> {
    if (this.#isShown && this.connection === 'ready') {
      const isSearched = wordsOf(this.query).length > 0;
      await this.#lists.ofServers(
        this.#known.servers ?? [],
        name => isSearched || this.#toggled.has(serverKey(name)),
        this.#known.offered,
        offered => {
          this.#know({ offered });
        }
      );
    }
  }

  /** Request the runs of earlier days that the search finds; without a search there are none. */
  async #askForPast(): Promise<void> {
    let past: readonly api.ExecutionState[] = [];
    if (wordsOf(this.query).length > 0 && this.connection === 'ready') {
      try {
        past = await this.#source.history(this.query);
      } catch {
        // The history cannot be read: the search finds what is in memory.
      }
    }
    if (past.length > 0 || this.#known.past.length > 0) {
      this.#know({ past });
    }
  }

  async #askForTrace(id: string): Promise<void> {
    let trace: Loading<api.Trace>;
    try {
      trace = ready(await this.#source.trace(id));
    } catch (error) {
      trace = failed(error);
    }
    if (this.chosen === `run ${id}`) {
      this.trace = trace;
      if (this.timeline && trace.status === 'ready') {
        this.timeline.life = 'alive'; // the server says so
        this.timeline.json = trace.value;
      }
      this.#changed.emit();
    }
  }

  /** Begin a timeline for the chosen run. */
  #unroll(isRun: boolean): void {
    this.timeline?.dispose();
    this.timeline = isRun ? new TimelineModel() : null;
    this.timeline?.stateChanged.connect(() => {
      this.#changed.emit();
    });
  }

  #know(news: Partial<PanelData>): void {
    this.#known = { ...this.#known, ...news };
    this.#rows = null;
    this.#changed.emit();
  }

  /** Scroll the chosen row into view. */
  #reveal(): void {
    const at = this.rows.findIndex(row => row.key === this.chosen);
    if (at >= 0) {
      this.wanted = [this.offsets[at] ?? 0, this.offsets[at + 1] ?? 0];
    }
  }
}
