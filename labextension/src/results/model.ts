/**
 * The state of a timeline: a run, and the rows that the reader has unfolded. It is kept while the run is drawn again, so rows
 * stay unfolded while a run continues. Never touches the DOM.
 */

import { VDomModel } from '@jupyterlab/ui-components';

import { read, type CallGroup, type TimelineRow, type TracedRun } from './trace';

/** Rows that are drawn at first, and that are added when the reader comes to their end: more would delay the page. */
export const BATCH = 100;

/** What is known of a run that its trace calls running: whether it is alive, or cut off without a last trace. */
export type Life = 'unknown' | 'alive' | 'cut';

/** One row of the list: consecutive calls of one tool, or a single call. */
export type ListRow = { group: CallGroup; call: null } | { group: null; call: TimelineRow; isMember: boolean };

export class TimelineModel extends VDomModel {
  #json: unknown = null;
  #run: TracedRun | null = null;
  #open = new Set<number>();
  /** By the number of a group's first call: whether the reader has unfolded it. */
  #groups = new Map<number, boolean>();
  #rows: ListRow[] = [];
  #current = 0;
  #most = BATCH;
  #isFolded = false;
  #life: Life = 'unknown';

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
    this.#list();
    this.stateChanged.emit();
  }

  /** The trace as text, to be copied. */
  get text(): string {
    return JSON.stringify(this.#json, null, 2);
  }

  /** Whether a run that its trace calls running is known to be alive. */
  get life(): Life {
    return this.#life;
  }

  set life(life: Life) {
    if (life !== this.#life) {
      this.#life = life;
      this.stateChanged.emit();
    }
  }

  /** Whether the rows are folded; only the reader folds them. */
  get isFolded(): boolean {
    return this.#isFolded;
  }

  fold(): void {
    this.#isFolded = !this.#isFolded;
    this.stateChanged.emit();
  }

  /** The rows that are drawn now. */
  get rows(): readonly ListRow[] {
    return this.#rows.slice(0, this.#most);
  }

  /** Whether there are more rows than are drawn. */
  get hasMore(): boolean {
    return this.#rows.length > this.#most;
  }

  /** Draw more rows. */
  more(): void {
    if (this.hasMore) {
      this.#most += BATCH;
      this.stateChanged.emit();
    }
  }

  isOpen(row: TimelineRow): boolean {
    return this.#open.has(row.id);
  }

  /** Whether the calls of a group are listed; at first, if the reader has unfolded one of them. */
  isGroupOpen(group: CallGroup): boolean {
    return this.#groups.get(group.id) ?? group.rows.some(row => this.#open.has(row.id));
  }

  /** Show what a row hides: the details of a call, or the calls of a group; or hide it again. */
  toggle(row: ListRow): void {
    this.#current = Math.max(0, this.#rows.indexOf(row));
    if (row.group) {
      this.#groups.set(row.group.id, !this.isGroupOpen(row.group));
      this.#list();
    } else if (!this.#open.delete(row.call.id)) {
      this.#open.add(row.call.id);
    }
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
    while (this.#current >= this.#most) {
      this.#most += BATCH;
    }
    this.stateChanged.emit();
    return true;
  }

  #list(): void {
    this.#rows = (this.#run?.groups ?? []).flatMap((group): ListRow[] => {
      const [first] = group.rows;
      if (group.rows.length === 1 && group.left === 0 && first) {
        return [{ group: null, call: first, isMember: false }];
      }
      const members = this.isGroupOpen(group) ? group.rows : [];
      return [{ group, call: null }, ...members.map(call => ({ group: null, call, isMember: true }))];
    });
  }
}
