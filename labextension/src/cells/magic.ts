/**
 * Recognizes `%%pctx` cells, and finds the beginning of their program: `%%pctx` is in the first line that is not blank.
 *
 * The rule is that of `pctx_jupyter/program/cell.py`, which reads the cell when it runs. This module knows text, not editors.
 */

/** Characters at the beginning of a cell that decide whether it is a `%%pctx` cell. */
export const HEAD = 1024;

const MAGIC = /^\s*%%pctx(?:[ \t\r]|\n|$)/;

/** Whether a cell is a `%%pctx` cell; its first `HEAD` characters are enough. */
export function isPctx(source: string): boolean {
  return MAGIC.test(source);
}

/** Whether an offset in a `%%pctx` cell is in its magic line, or above it. */
export function isInLine(source: string, offset: number): boolean {
  const start = programStart(source);
  return offset < start || (start === source.length && !source.endsWith('\n'));
}

/** The offset at which the program of a `%%pctx` cell begins: below the magic line, or the end of the cell. */
export function programStart(source: string): number {
  const end = source.indexOf('\n', Math.max(source.search(/\S/), 0));
  return end < 0 ? source.length : end + 1;
}
