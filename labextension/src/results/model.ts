/**
 * What a timeline shows now: a run, and what of it the reader has unfolded. It outlives each drawing of the run, so that a
 * run that goes on does not close what was opened. Never touches the DOM.
 */

import { VDomModel } from '@jupyterlab/ui-components';

import { callsOf, read, type Row, type Run } from './trace';

/** Rows up to which a timeline is unfolded by itself. */
export const FEW = 8;

export class TimelineModel extends VDomModel {
  #json: unknown = null;
  #run: Run | null = null;
  #open = new Set<number>();
  #current = 0;
  #isFolded: boolean | null = null;

  /** The run; null: what there is is no trace. */
  get run(): Run | null {
    return this.#run;
  }

  /** Take the trace as it is now. */
  set json(json: unknown) {
    this.#json = json;
    this.#run = read(json);
    this.stateChanged.emit();
  }

  /** The trace as text, to be copied. */
  get text(): string {
    return JSON.stringify(this.#json, null, 2);
  }

  /** Whether the rows are out of sight; until somebody says so, many are. */
  get isFolded(): boolean {
    return this.#isFolded ?? (this.#run !== null && callsOf(this.#run).length > FEW);
  }

  fold(): void {
    this.#isFolded = !this.isFolded;
    this.stateChanged.emit();
  }

  isOpen(row: Row): boolean {
    return this.#open.has(row.id);
  }

  /** Show the details of a row, or hide them. */
  toggle(row: Row): void {
    if (!this.#open.delete(row.id)) {
      this.#open.add(row.id);
    }
    this.#current = Math.max(0, this.#rows.indexOf(row));
    this.stateChanged.emit();
  }

  /** The one row that the Tab key reaches; arrows lead to the others. */
  get current(): number {
    return Math.min(this.#current, Math.max(0, this.#rows.length - 1));
  }

  /** Make another row current, by the key that leads there; returns whether that key does. */
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

  get #rows(): Row[] {
    return this.#run?.rows ?? [];
  }
}
