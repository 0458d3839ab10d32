/**
 * The state of the panel and the status bar: the rows, the search, the chosen row with its trace, and the visible rows.
 *
 * What is known comes from `serverFollower.ts`. It never touches the DOM.
 */

import { type ISignal, Signal } from '@lumino/signaling';

import type * as api from '../api';
import { type Loading, PENDING, failed, ready } from '../loading';
import { TimelineModel } from '../results/model';
import {
  type PanelData,
  type RowPosition,
  type RunFilter,
  type PanelRow,
  inSight,
  offsetsOf,
  placesOf,
  rowsOf,
  type Unloaded
} from './rows';
import { type Later, type PanelConnection, ServerFollower, type Source } from './serverFollower';

export type { Source };

/** The least and the greatest part of the panel's height that its details have: list and details stay visible. */
export const LEAST_SPLIT = 0.15;
export const MOST_SPLIT = 0.8;

export class PanelModel {
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
  readonly #server: ServerFollower;
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

  constructor(source: Source, later: Later = (act, milliseconds) => void setTimeout(act, milliseconds)) {
    this.#source = source;
    this.#server = new ServerFollower(source, later, {
      data: () => this.#known,
      isShown: () => this.#isShown,
      query: () => this.query,
      isOpen: key => this.#toggled.has(key),
      know: news => {
        this.#know(news);
      },
      change: () => {
        this.#changed.emit();
      },
      changeCatalogs: () => {
        this.#catalogs.emit();
      },
      takeQuestions: questions => {
        this.#chooseNext();
        this.#questions.emit(questions);
      },
      takeRuns: runs => {
        this.#runs.emit(runs);
      },
      refreshRun: async () => {
        const row = this.chosenRow;
        if (row?.kind === 'run') {
          await this.#askForTrace(row.run.id);
        }
      }
    });
  }

  get connection(): PanelConnection {
    return this.#server.connection;
  }

  /** What the server says of its engine; null: there is no answer yet. */
  get status(): api.EngineStatus | null {
    return this.#server.status;
  }

  /** Why no program can run, as the server says; empty: nothing is wrong. */
  get trouble(): string {
    const trouble = this.status?.sandbox['trouble'];
    return typeof trouble === 'string' ? trouble : '';
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
    signal.addEventListener('abort', () => {
      Signal.clearData(this);
    });
    this.#server.start(signal);
  }

  /** Retry a server that had no pctx, or was lost. */
  retry(): void {
    this.#server.retry();
  }

  /** Set whether the panel is visible: tools are requested only then. */
  show(isShown: boolean): void {
    this.#isShown = isShown;
    this.#changed.emit();
    if (isShown && this.connection === 'ready') {
      this.#server.askForTools();
      this.#server.askForOffered();
      this.#server.askForHandles();
    }
  }

  /** Set the kernel of the notebook in front: it is listed first, and its handles are. */
  follow(kernelId: string | null): void {
    if (kernelId !== this.#known.front) {
      this.#know({ front: kernelId });
      this.#server.askForHandles();
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
    this.#server.draw(kernels);
  }

  search(query: string): void {
    this.query = query;
    this.#rows = null;
    this.wanted = [0, 0];
    this.#changed.emit();
    this.#server.askForOffered();
    this.#server.askForPast();
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
    this.#server.askForOffered();
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
