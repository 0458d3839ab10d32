/** The rows of a table: their order, the rows that a filter leaves, their text and CSV. Never touches the DOM. */

import { VDomModel } from '@jupyterlab/ui-components';

/** See `pctx_jupyter/kernel/output/sortable.py`. */
export const MIME = 'application/vnd.pctx.table+json';

/** A plain value; the JSON text of an array or object; or none, if the row has no such column. */
export type TableCell =
  { kind: 'value'; value: string | number | boolean | null } | { kind: 'json'; text: string } | { kind: 'none' };

export interface Rows {
  columns: string[];
  rows: TableCell[][];
  /** The number of all rows, including those that are left out. */
  total: number;
  /** The id under which the kernel keeps the whole table; empty: it keeps none. */
  id: string;
  /** A line to be shown below the table; empty: there is none. */
  note: string;
  /** Whether no row is left out and no text is cut. */
  isWhole: boolean;
}

export interface Order {
  column: number;
  isDown: boolean;
}

/** What a column needs to be drawn. */
export interface Column {
  name: string;
  /** Whether it has numbers, and nothing else except null and missing values. */
  isNumeric: boolean;
  /** Characters of its longest text. */
  width: number;
  /** Characters after the end of the whole part in its longest number, the point included. */
  fraction: number;
}

/** Gets the whole table with an id from the kernel. */
export type Load = (id: string) => Promise<unknown>;

/** Whether the kernel is being asked for the whole table, and whether it had it. */
export type RowsLoading = 'none' | 'pending' | 'failed';

/** Limits for the rows of a notebook's file, and for those that the kernel sent. */
const LIMITS = {
  file: { rows: 5000, text: 1000 },
  kernel: { rows: 200_000, text: 100_000 }
};
/** Columns that are drawn at most. */
const MOST_COLUMNS = 200;
/** Rows that are drawn before the reader asks for all. */
export const FEW = 20;
/** Rows that need no filter: they are read at a glance. */
export const EASY = 10;
/** Characters of a text that are drawn; the tooltip has more. */
export const SHOWN = 200;

/** Read rows; null: they are not valid. They come from a notebook's file, so their shape is checked. */
export function read(json: unknown, from: keyof typeof LIMITS = 'file'): Rows | null {
  const given = (json ?? {}) as Record<'columns' | 'rows' | 'total' | 'id' | 'cut' | 'note', unknown>;
  if (!Array.isArray(given.columns) || !Array.isArray(given.rows)) {
    return null;
  }
  const most = LIMITS[from];
  const columns = given.columns.slice(0, MOST_COLUMNS).map((name: unknown) => (typeof name === 'string' ? name : ''));
  const rows = given.rows
    .slice(0, most.rows)
    .filter((row: unknown): row is unknown[] => Array.isArray(row))
    .map(row => columns.map((_, index) => cell(row[index], most.text)));
  const known = typeof given.total === 'number' && Number.isFinite(given.total) ? given.total : 0;
  const total = Math.max(known, rows.length);
  return {
    columns,
    rows,
    total,
    id: typeof given.id === 'string' ? given.id : '',
    note: typeof given.note === 'string' ? given.note : '',
    isWhole: total === rows.length && given.cut !== true
  };
}

function cell(value: unknown, most: number): TableCell {
  if (value === null || ['string', 'number', 'boolean'].includes(typeof value)) {
    const plain = value as string | number | boolean | null;
    return { kind: 'value', value: typeof plain === 'string' ? plain.slice(0, most) : plain };
  }
  const text: unknown = typeof value === 'object' && 'json' in value ? value.json : undefined;
  if (text === 'NaN' || text === 'Infinity' || text === '-Infinity') {
    return { kind: 'value', value: Number(text) };
  }
  return typeof text === 'string' ? { kind: 'json', text: text.slice(0, most) } : { kind: 'none' };
}

const collator = new Intl.Collator(undefined, { numeric: true });

/** Compare two cells: numbers, then booleans, then texts. Null, NaN and missing values come last in both directions. */
export function compare(a: TableCell, b: TableCell, isDown: boolean): number {
  const [first, second] = [rank(a), rank(b)];
  if (first === 3 || second === 3) {
    return first - second;
  }
  let found = first - second;
  if (found === 0) {
    const [left, right] = [plain(a), plain(b)];
    found =
      typeof left === 'string' || typeof right === 'string'
        ? collator.compare(String(left), String(right))
        : Number(left) - Number(right);
  }
  return isDown ? -found : found;
}

function plain(one: TableCell): string | number | boolean | null {
  return one.kind === 'value' ? one.value : one.kind === 'json' ? one.text : null;
}

function rank(one: TableCell): number {
  const value = plain(one);
  return value === null || Number.isNaN(value) ? 3 : typeof value === 'number' ? 0 : typeof value === 'boolean' ? 1 : 2;
}

/** The whole text of a cell. */
export function cellText(one: TableCell): string {
  return one.kind === 'none' ? '' : String(plain(one));
}

/** The text of a cell as it is drawn: numbers have six significant digits, and all digits of their whole part. */
export function shownText(one: TableCell): string {
  return one.kind === 'value' && typeof one.value === 'number' ? numberText(one.value) : cellText(one);
}

/** Write a number with six significant digits. Whole numbers keep all of theirs, since they may be ids. */
export function numberText(value: number): string {
  const size = Math.abs(value);
  if ((Number.isInteger(value) && size < 1e21) || !Number.isFinite(value)) {
    return String(value);
  }
  if (size >= 1e15 || size < 1e-5) {
    return String(Number(value.toPrecision(6)));
  }
  const whole = Math.max(0, Math.floor(Math.log10(size)) + 1);
  const text = whole >= 6 ? value.toFixed(0) : value.toPrecision(6);
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** The characters of a number's text from the end of its whole part on. */
export function fractionOf(text: string): number {
  const whole = /^-?\d+/.exec(text);
  return whole === null ? 0 : text.length - whole[0].length;
}

/** Find out how each column is to be drawn. */
export function columnsOf(rows: Rows): Column[] {
  return rows.columns.map((name, index) => {
    const column: Column = { name, isNumeric: true, width: 0, fraction: 0 };
    let isEmpty = true;
    for (const row of rows.rows) {
      const one = row[index] ?? { kind: 'none' };
      const found = rank(one);
      column.isNumeric &&= found === 0 || found === 3;
      isEmpty &&= found === 3;
      const text = shownText(one);
      column.width = Math.max(column.width, text.length);
      if (found === 0) {
        column.fraction = Math.max(column.fraction, fractionOf(text));
      }
    }
    column.isNumeric &&= !isEmpty;
    return column;
  });
}

/** A row as it is to be drawn, with its number in the table. */
export interface NumberedRow {
  number: number;
  cells: TableCell[];
}

const NONE: TableCell = { kind: 'none' };

export class TableModel extends VDomModel {
  #rows: Rows | null = null;
  #columns: Column[] = [];
  #order: Order | null = null;
  #filter = '';
  #isOpen = false;
  #loading: RowsLoading = 'none';
  #shown: NumberedRow[] | null = null;
  readonly #load: Load | null;

  /** @param load Gets a whole table from the kernel; null: there is no kernel. */
  constructor(load: Load | null = null) {
    super();
    this.#load = load;
  }

  get rows(): Rows | null {
    return this.#rows;
  }

  set json(json: unknown) {
    this.#order = null;
    this.#filter = '';
    this.#isOpen = false;
    this.#loading = 'none';
    this.#replace(read(json));
  }

  #replace(rows: Rows | null): void {
    this.#rows = rows;
    this.#columns = rows === null ? [] : columnsOf(rows);
    this.#change();
  }

  #change(): void {
    this.#shown = null;
    this.stateChanged.emit();
  }

  get columns(): Column[] {
    return this.#columns;
  }

  /** The column by which the rows are sorted; null: they are in their original order. */
  get order(): Order | null {
    return this.#order;
  }

  get filter(): string {
    return this.#filter;
  }

  /** Whether all rows are drawn, not only the first ones. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  get loading(): RowsLoading {
    return this.#loading;
  }

  /** Sort by a column: ascending, then descending, then in the original order. */
  sort(column: number): void {
    const { order } = this;
    this.#order = order?.column !== column ? { column, isDown: false } : order.isDown ? null : { column, isDown: true };
    this.#change();
    void this.complete();
  }

  /** Keep only the rows of which a cell contains the text, whatever its case. */
  set filter(text: string) {
    this.#filter = text;
    this.#change();
    void this.complete();
  }

  /** Draw all rows, or only the first ones. */
  open(isOpen: boolean): void {
    this.#isOpen = isOpen;
    this.#change();
    if (isOpen) {
      void this.complete();
    }
  }

  /** Get the rows that the file lacks from the kernel, once; does nothing if the table is whole. */
  async complete(): Promise<void> {
    const rows = this.#rows;
    if (rows === null || rows.isWhole || this.#loading !== 'none') {
      return;
    }
    if (rows.id === '' || this.#load === null) {
      this.#loading = 'failed';
      this.#change();
      return;
    }
    this.#loading = 'pending';
    this.#change();
    const whole = await this.#load(rows.id).then(
      json => read(json, 'kernel'),
      () => null
    );
    if (this.#rows === rows) {
      this.#loading = whole === null ? 'failed' : 'none';
      this.#replace(whole ?? rows);
    }
  }

  /** The rows that the filter leaves, in their order, each with its number. */
  get sorted(): NumberedRow[] {
    if (this.#shown !== null) {
      return this.#shown;
    }
    const wanted = this.#filter.toLowerCase();
    let found = (this.#rows?.rows ?? []).map((cells, number) => ({ number, cells }));
    if (wanted !== '') {
      found = found.filter(row => row.cells.some(one => cellText(one).toLowerCase().includes(wanted)));
    }
    const { order } = this;
    if (order) {
      found.sort((a, b) => compare(a.cells[order.column] ?? NONE, b.cells[order.column] ?? NONE, order.isDown));
    }
    return (this.#shown = found);
  }

  /** The rows that the filter leaves as CSV, with all digits. */
  get csv(): string {
    const lines = [this.#rows?.columns ?? [], ...this.sorted.map(row => row.cells.map(csvText))];
    return lines.map(line => line.map(quoted).join(',')).join('\r\n') + '\r\n';
  }
}

function csvText(one: TableCell): string {
  return one.kind === 'value' && one.value === null ? '' : cellText(one);
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
