/**
 * Which cells are ours, and where their program begins: `%%pctx` in the first line that is not blank.
 *
 * The same rule as `pctx_jupyter/program/cell.py`, which reads the cell when it runs. Knows text, nothing of editors.
 */

/** Characters at a cell's beginning that decide whose it is. */
export const HEAD = 1024;

const MAGIC = /^\s*%%pctx(?:[ \t\r]|\n|$)/;

/** Whether a cell is one of ours; its first `HEAD` characters are enough. */
export function isPctx(source: string): boolean {
  return MAGIC.test(source);
}

/** Whether an offset in one of our cells is in its magic line, or above it. */
export function isInLine(source: string, offset: number): boolean {
  const start = programStart(source);
  return offset < start || (start === source.length && !source.endsWith('\n'));
}

/** Where the program of one of our cells begins: below the magic line, or at the end where that is all there is. */
export function programStart(source: string): number {
  const end = source.indexOf('\n', Math.max(source.search(/\S/), 0));
  return end < 0 ? source.length : end + 1;
}
