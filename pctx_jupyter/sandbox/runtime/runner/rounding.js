// @ts-check
/**
 * The warning that an integer from the host is rounded, since several integers of JSON are one number here.
 */

import { BigIntC, isArray, isInteger, keys, parse, regExpExec, slice } from "./captured.js";
import { holdsLarge, isMarked, LARGE, NONFINITE } from "./numbers.js";
import { property } from "./encode.js";
import { print } from "./output.js";

/** An integer of JSON that may have more digits than a number of JavaScript; also within a text. */
const LONG = /[[:,]-?[0-9]{16,}[,\]}]/;
/** Looks for such an integer, where one may be, that a run takes at most. */
const MOST_LOOKS = 3;
let looks = 0;

/**
 * Say on stderr, once, which integer of what the host has sent is rounded here.
 *
 * @param {string} line the message
 * @param {any} value what of it the program gets
 * @param {readonly string[]} root the way there from the message
 * @param {string} what how the warning calls it
 * @param {string} exact the way out
 */
export function warnOfRounding(line, value, root, what, exact) {
  if (looks >= MOST_LOOKS || !holdsLarge(value) || regExpExec(LONG, line) === null) return;
  looks++;
  /** @type {{holder: any, key: string, source: string, value: number} | undefined} */
  let found;
  let message = /** @type {any} */ (parse)(
    line,
    /** @this {any} */
    function (/** @type {string} */ key, /** @type {any} */ value, /** @type {any} */ context) {
      if (found === undefined && typeof value === "number" && !(value < LARGE && value > -LARGE)) {
        const source = context.source, isWhole = regExpExec(/^-?[0-9]+$/, source) !== null;
        if (isWhole && (!isInteger(value) || BigIntC(source) !== BigIntC(value))) {
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
  const path = typeof message === "number" ? "" : wayTo(holder, message, "");
  if (path === undefined) return;
  looks = MOST_LOOKS;
  const at = path + (typeof message === "number" ? "" : isArray(holder) ? "[" + key + "]" : property(key));
  print(
    what + at + " is " + (source.length > 60 ? slice(source, 0, 60) + "\u2026" : source) +
      ", beyond 2**53: numbers of JavaScript are rounded there. " + exact + ".\n",
    2,
  );
}

/**
 * The path from a value to an object or array within it; undefined: it is not there.
 *
 * @param {any} holder @param {any} value @param {string} path
 * @returns {string | undefined}
 */
function wayTo(holder, value, path) {
  if (value === holder) return path;
  if (typeof value !== "object" || value === null) return undefined;
  const isList = isArray(value), names = keys(value);
  for (let i = 0; i < names.length; i++) {
    const item = value[names[i]];
    if (typeof item !== "object" || item === null) continue;
    const found = wayTo(holder, item, path + (isList ? "[" + names[i] + "]" : property(names[i])));
    if (found !== undefined) return found;
  }
  return undefined;
}
