/**
 * The state of a timeline: a run, and the rows that the reader has unfolded. It is kept while the run is drawn again, so rows
 * stay unfolded while a run continues. Never touches the DOM.
 */

import { VDomModel } from '@jupyterlab/ui-components';

import { callsOf, read, type TimelineRow, type TracedRun } from './trace';

/** Timelines with more rows begin folded. */
export const FEW = 8;

export class TimelineModel extends VDomModel {
  #json: unknown = null;
  #run: TracedRun | null = null;
  #open = new Set<number>();
  #current = 0;
  #isFolded: boolean | null = null;

  /** The run; null: the data is not a trace. */
  get run(): TracedRun | null {
    return this.#run;
  }

  /** Whether the output only holds the place of a timeline that may follow. */
  get isReserved(): boolean {
    return (this.#json as { state?: unknown } | null)?.state === 'reserved';
  }

  /** Set the present trace. */
  set json(json: unknown) {
    this.#json = json;
    this.#run = read(json);
    this.stateChanged.emit();
  }

  /** The trace as text, to be copied. */
  get text(): string {
    return JSON.stringify(this.#json, null, 2);
  }

  /** Whether the rows are folded; at first, many rows are. */
  get isFolded(): boolean {
    return this.#isFolded ?? (this.#run !== null && callsOf(this.#run).length > FEW);
  }

  fold(): void {
    this.#isFolded = !this.isFolded;
    this.stateChanged.emit();
  }

  isOpen(row: TimelineRow): boolean {
    return this.#open.has(row.id);
  }

  /** Show the details of a row, or hide them. */
  toggle(row: TimelineRow): void {
    if (!this.#open.delete(row.id)) {
      this.#open.add(row.id);
    }
    this.#current = Math.max(0, this.#rows.indexOf(row));
    this.stateChanged.emit();
  }

  /** The row that the Tab key reaches; arrow keys lead to the others. */
  get current(): number {
    return Math.min(this.#current, Math.max(0, this.#rows.length - 1));
  }

  /** Make another row current, by a key; returns whether the key is one that moves. */
  move(key: string): boolean {
    const last = this.#rows.length - 1;
    const to = { ArrowDown: this.current + 1, ArrowUp: this.current - 1, Home: 0, End: last }[key];
    if (to === undefined) {
      return false;
    }
    this.#current = Math.min(Math.max(to, 0), Math.max(last, 0));
    this.stateChanged.emit();
    return true;
  }

  get #rows(): TimelineRow[] {
    return this.#run?.rows ?? [];
  }
}
