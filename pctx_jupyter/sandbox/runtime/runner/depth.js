// @ts-check
/**
 * How deep a JSON text nests, and how deep it may.
 */

import { charCodeAt, Int8ArrayC } from "./captured.js";
import { CHUNK, encodePart, outBytes, outPairs } from "./lines.js";

/** Levels; Python's JSON readers give up at about 1,000, less the depth of the stack they are called on. */
export const MAX_DEPTH = 500;
/** A depth from which the next sixteen bytes cannot lead beyond `MAX_DEPTH`. */
const SAFE_DEPTH = MAX_DEPTH - 16;

/** How many levels two bytes of UTF-8, read as one number, open, less the levels they close. */
const levels = new Int8ArrayC(1 << 16);
{
  /** @type {[number, number][]} */
  const brackets = [[0x5b, 1], [0x7b, 1], [0x5d, -1], [0x7d, -1]];
  // By native functions: a loop over all pairs takes 0.8 ms of a start.
  for (const [first, step] of brackets) levels[first] = step;
  for (let filled = 256; filled < levels.length; filled *= 2) levels.copyWithin(filled, 0, filled);
  for (const [second, step] of brackets) {
    levels.fill(step, second << 8, (second + 1) << 8);
    for (const [first, more] of brackets) levels[second << 8 | first] += more;
  }
}

/**
 * Count levels in the out buffer, sixteen bytes at a time. The caller passes blocks: V8 compiles a function that is
 * called often sooner than one that loops long, and most values are the first that their sandbox writes.
 *
 * @param {number} from in pairs of bytes; a multiple of 8
 * @param {number} to
 * @param {number} depth so far
 * @returns {number} depth at the end, or where it was too much
 */
function countLevels(from, to, depth) {
  const pairs = outPairs, by = levels;
  for (let i = from; i < to && depth <= SAFE_DEPTH; i += 8) {
    depth += by[pairs[i]] + by[pairs[i + 1]] + by[pairs[i + 2]] + by[pairs[i + 3]] +
      by[pairs[i + 4]] + by[pairs[i + 5]] + by[pairs[i + 6]] + by[pairs[i + 7]];
  }
  return depth;
}

/**
 * Whether a JSON text nests beyond `MAX_DEPTH`.
 *
 * The first count includes brackets inside texts. An exact one follows only where the first is too high. (Texts with
 * hundreds of closing brackets can make the first too low. Then the host's own parser refuses the line.)
 *
 * @param {string} text JSON
 */
export function isTooDeep(text) {
  if (text.length <= 2 * MAX_DEPTH) return false;
  let depth = 0;
  for (let at = 0; at < text.length;) {
    const { read, written } = encodePart(text, at, CHUNK);
    for (let i = written; (i & 15) !== 0; i++) outBytes[i] = 0;
    const end = written + 1 >> 1;
    for (let from = 0; from < end; from += 512) {
      depth = countLevels(from, from + 512 < end ? from + 512 : end, depth);
      if (depth > SAFE_DEPTH) return isTooDeepOutsideTexts(text);
    }
    at += read;
  }
  return false;
}

/** @param {string} text JSON */
function isTooDeepOutsideTexts(text) {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = charCodeAt(text, i);
    if (unit === 0x22) {
      for (i++; charCodeAt(text, i) !== 0x22; i++) if (charCodeAt(text, i) === 0x5c) i++;
    } else if (unit === 0x5b || unit === 0x7b) {
      if (++depth > MAX_DEPTH) return true;
    } else if (unit === 0x5d || unit === 0x7d) depth--;
  }
  return false;
}
