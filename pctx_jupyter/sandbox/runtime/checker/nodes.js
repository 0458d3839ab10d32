// @ts-check
/**
 * Where something stands in a program.
 */

import { ts } from "./compiler.js";

/** @param {string} text @param {number} offset */
export function place(text, offset) {
  let line = 1, begin = 0;
  for (let i; (i = text.indexOf("\n", begin)) >= 0 && i < offset; begin = i + 1) line++;
  return [line, offset - begin + 1];
}

/** @param {any} source @param {number} start */
export function nodeAt(source, start) {
  let node = source;
  for (;;) {
    const inner = ts.forEachChild(
      node,
      (/** @type {any} */ child) => child.getStart(source) <= start && start < child.end ? child : undefined,
    );
    if (inner === undefined) return node === source ? undefined : node;
    node = inner;
  }
}
