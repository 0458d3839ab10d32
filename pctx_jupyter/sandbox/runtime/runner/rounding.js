// @ts-check
/**
 * The warning that a number from the host is rounded, since several integers of JSON are one number here, and numbers
 * that are too large are Infinity.
 */

import { BigIntC, isArray, isInteger, keys, parse, regExpExec, slice } from "./captured.js";
import { holdsLarge, isMarked, LARGE, NONFINITE } from "./numbers.js";
import { property } from "./encode.js";
import { print } from "./output.js";

/** A number of JSON that may be none of JavaScript: it has more digits, or is too large. Also within a text. */
const LONG = /[[:,]-?[0-9]{16,}[,\]}]|[0-9][eE]\+?[0-9]{3}|[0-9]{300}\./;
/** Searches for such an integer in one run: each parses a message once more. */
const MAX_SEARCHES = 3;
let searches = 0;

/**
 * Warn on stderr, once, which number in a message of the host is rounded here.
 *
 * @param {string} line the message
 * @param {any} value the part of it that the program gets
 * @param {readonly string[]} root the path from the message to that part
 * @param {string} what what the warning calls it
 * @param {string} exact how to pass the number without rounding
 */
export function warnOfRounding(line, value, root, what, exact) {
  if (searches >= MAX_SEARCHES || !holdsLarge(value) || regExpExec(LONG, line) === null) return;
  searches++;
  /** @type {{holder: any, key: string, source: string, value: number} | undefined} */
  let found;
  let message = /** @type {any} */ (parse)(
    line,
    /** @this {any} */
    function (/** @type {string} */ key, /** @type {any} */ value, /** @type {any} */ context) {
      if (found === undefined && typeof value === "number" && !(value < LARGE && value > -LARGE)) {
        const source = context.source, isWhole = regExpExec(/^-?[0-9]+$/, source) !== null;
        if (!isInteger(value) || (isWhole && BigIntC(source) !== BigIntC(value))) {
          found = { holder: this, key, source, value };
        }
      }
      return value;
    },
  );
  for (let i = 0; i < root.length; i++) message = message[root[i]];
  if (isMarked(message)) message = message[NONFINITE];
  if (found === undefined) return;
  const { holder, key, source } = found;
  const path = typeof message === "number" ? "" : pathTo(holder, message, "");
  if (path === undefined) return;
  searches = MAX_SEARCHES;
  const at = path + (typeof message === "number" ? "" : isArray(holder) ? "[" + key + "]" : property(key));
  print(
    what + at + " is " + (source.length > 60 ? slice(source, 0, 60) + "\u2026" : source) +
      ", beyond 2**53: numbers of JavaScript are rounded there. " + exact + ".\n",
    2,
  );
}

/** Warn on stderr, once, that integers in a column are rounded here. @param {string} name of the tool */
export function warnOfRoundedBytes(name) {
  if (searches >= MAX_SEARCHES) return;
  searches = MAX_SEARCHES;
  print(
    "The result of " + name + ": integers beyond 2**53 are rounded: numbers of JavaScript are rounded there. " +
      'Read them with column(name, "bigint").\n',
    2,
  );
}

/**
 * The path from a value to an object or array within it; undefined: it is not there.
 *
 * @param {any} holder @param {any} value @param {string} path
 * @returns {string | undefined}
 */
function pathTo(holder, value, path) {
  if (value === holder) return path;
  if (typeof value !== "object" || value === null) return undefined;
  const isList = isArray(value), names = keys(value);
  for (let i = 0; i < names.length; i++) {
    const item = value[names[i]];
    if (typeof item !== "object" || item === null) continue;
    const found = pathTo(holder, item, path + (isList ? "[" + names[i] + "]" : property(names[i])));
    if (found !== undefined) return found;
  }
  return undefined;
}
