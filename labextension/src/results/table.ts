/** The rows of a sortable table, and their present order. Never touches the DOM. */

import { VDomModel } from '@jupyterlab/ui-components';

/** See `pctx_jupyter/kernel/output/sortable.py`. */
export const MIME = 'application/vnd.pctx.table+json';

/** A plain value; the JSON text of an array or object; or none, if the row has no such column. */
export type TableCell =
  { kind: 'value'; value: string | number | boolean | null } | { kind: 'json'; text: string } | { kind: 'none' };

export interface Rows {
  columns: string[];
  rows: TableCell[][];
  /** All rows, those left out among them. */
  total: number;
}

export interface Order {
  column: number;
  isDown: boolean;
}

/** Rows that are drawn at most; our own tables have fewer. */
const MOST = 5000;
/** Cells that are drawn at most: a page with some hundred thousand cells is blocked for a while. */
const MOST_CELLS = 25_000;
/** Characters of a text that are kept: ordering compares all of them. */
const MOST_TEXT = 1000;

/** Read rows; null: they are not valid. They come from a notebook's file, so their shape is checked. */
export function read(json: unknown): Rows | null {
  const given = (json ?? {}) as { columns?: unknown; rows?: unknown; total?: unknown };
  if (!Array.isArray(given.columns) || !Array.isArray(given.rows)) {
    return null;
  }
  const columns = given.columns.slice(0, 100).map((name: unknown) => (typeof name === 'string' ? name : ''));
  const rows = given.rows
    .slice(0, Math.min(MOST, Math.ceil(MOST_CELLS / Math.max(1, columns.length))))
    .filter((row: unknown): row is unknown[] => Array.isArray(row))
    .map(row => columns.map((_, index) => cell(row[index])));
  const total = typeof given.total === 'number' && Number.isFinite(given.total) ? given.total : 0;
  return { columns, rows, total: Math.max(total, rows.length) };
}

function cell(value: unknown): TableCell {
  if (value === null || ['string', 'number', 'boolean'].includes(typeof value)) {
    const plain = value as string | number | boolean | null;
    return { kind: 'value', value: typeof plain === 'string' ? plain.slice(0, MOST_TEXT) : plain };
  }
  const text: unknown = typeof value === 'object' && 'json' in value ? value.json : undefined;
  return typeof text === 'string' ? { kind: 'json', text: text.slice(0, MOST_TEXT) } : { kind: 'none' };
}

const collator = new Intl.Collator(undefined, { numeric: true });

/** Compare two cells: numbers, then booleans, then texts. Null and missing values come last in both directions. */
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
  return value === null ? 3 : typeof value === 'number' ? 0 : typeof value === 'boolean' ? 1 : 2;
}

/** Whether a column has numbers, and nothing else except null and missing values. */
export function isNumeric(rows: Rows, column: number): boolean {
  const ranks = rows.rows.map(row => rank(row[column] ?? { kind: 'none' })).filter(found => found !== 3);
  return ranks.length > 0 && ranks.every(found => found === 0);
}

export class TableModel extends VDomModel {
  #rows: Rows | null = null;
  #order: Order | null = null;

  get rows(): Rows | null {
    return this.#rows;
  }

  set json(json: unknown) {
    this.#rows = read(json);
    this.#order = null;
    this.stateChanged.emit();
  }

  /** The column by which the rows are sorted; null: they are in their original order. */
  get order(): Order | null {
    return this.#order;
  }

  /** Sort by a column: ascending, then descending, then in the original order. */
  sort(column: number): void {
    const { order } = this;
    this.#order = order?.column !== column ? { column, isDown: false } : order.isDown ? null : { column, isDown: true };
    this.stateChanged.emit();
  }

  /** The rows as they are to be shown, each with its number. */
  get sorted(): { number: number; cells: TableCell[] }[] {
    const numbered = (this.#rows?.rows ?? []).map((cells, number) => ({ number, cells }));
    const { order } = this;
    if (order) {
      const none: TableCell = { kind: 'none' };
      numbered.sort((a, b) => compare(a.cells[order.column] ?? none, b.cells[order.column] ?? none, order.isDown));
    }
    return numbered;
  }
}
