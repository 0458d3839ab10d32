// @ts-check
/**
 * The numbers that JSON cannot hold as JavaScript writes them: NaN, the infinities, and integers beyond 2**53.
 *
 * `rpc/nonfinite.py` has the rules of a marked payload, and reads what is written here.
 */

import {
  arrayLength,
  BigIntC,
  bigIntText,
  charCodeAt,
  dateToJSON,
  hasOwn,
  indexOf,
  isArray,
  isInteger,
  isRawJSON,
  isSafeInteger,
  keys,
  parse,
  rawJSON,
  slice,
  stringify,
  uncurry,
  weakGet,
} from "./captured.js";
import { arrayToJSON, taught } from "./forms.js";
import { MAX_DEPTH } from "./depth.js";

/** The only key of a payload in which NaN or an infinity occurs; `nonfinite.py` has the rules. */
export const NONFINITE = "$pctx.nonfinite";
/** How such a payload begins. */
export const MARK = '{"' + NONFINITE + '":';
const HASH = 0x23;
/** @type {Record<string, number>} */
const NUMBERS = /** @type {any} */ ({ __proto__: null, "#NaN": NaN, "#Infinity": Infinity, "#-Infinity": -Infinity });
/** Whether `escaped` has found such a number, and whether an integer of which `JSON.stringify` writes other digits. */
let metNonfinite = false, metLarge = false;

/**
 * Replace such numbers by texts, and add a `#` to every text that begins with one: a replacer of `JSON.stringify`.
 *
 * @param {string} name @param {unknown} value
 * @returns {unknown}
 */
function escaped(name, value) {
  if (typeof value === "string") return charCodeAt(value, 0) === HASH ? "#" + value : value;
  if (typeof value === "object" && isRawJSON(value)) {
    const raw = parse(/** @type {any} */ (value).rawJSON);
    return typeof raw === "string" ? escaped(name, raw) : value;
  }
  if (typeof value !== "number" || value - value === 0) return exact(name, value);
  metNonfinite = true;
  return value > 0 ? "#Infinity" : value < 0 ? "#-Infinity" : "#NaN";
}

/** From here on, several integers are the same number. */
export const LARGE = 2 ** 53;

/** Whether a number is an integer beyond 2**53 that is written without an exponent. @param {number} value */
const isLarge = (value) => !isSafeInteger(value) && isInteger(value) && value < 1e21 && value > -1e21;

/**
 * Write an integer beyond 2**53 with all its digits: a replacer of `JSON.stringify`, which writes zeros for the digits
 * that distinguish no two numbers of JavaScript. Python would read another integer.
 *
 * @param {string} _ @param {unknown} value
 */
function exact(_, value) {
  if (typeof value !== "number" || !isLarge(value)) return value;
  metLarge = true;
  return rawJSON(bigIntText(BigIntC(value)));
}

/** @param {any} array a typed one */
function holdsOddNumber(array) {
  const length = arrayLength(array);
  for (let i = 0; i < length; i++) if (!(array[i] < LARGE && array[i] > -LARGE)) return true;
  return false;
}

/**
 * Whether there may be a number in a value that `JSON.stringify` does not write as it is.
 *
 * @param {any} value @param {number} depth
 * @returns {boolean}
 */
function mayHoldOdd(value, depth) {
  if (typeof value === "number") return !(value < LARGE && value > -LARGE);
  if (typeof value !== "object" || value === null) return false;
  if (depth > MAX_DEPTH) return true;
  const toJSON = value.toJSON;
  if (typeof toJSON === "function") {
    if (toJSON === dateToJSON) return false;
    if (toJSON === arrayToJSON) return holdsOddNumber(value);
    return weakGet(taught, toJSON) === true ? mayHoldOdd(uncurry(toJSON)(value), depth + 1) : true;
  }
  if (isArray(value)) {
    for (let i = 0; i < value.length; i++) if (mayHoldOdd(value[i], depth + 1)) return true;
    return false;
  }
  for (const name in value) if (mayHoldOdd(value[name], depth + 1)) return true;
  return false;
}

/**
 * Write a value again, if `JSON.stringify` has not written all of its numbers as they are.
 *
 * @param {unknown} value
 * @param {string} text what it has written
 * @returns {{text: string, isMarked: boolean}}
 */
export function rewritten(value, text) {
  const looksMarked = indexOf(slice(text, 0, MARK.length), MARK) === 0;
  try {
    if (!looksMarked && !mayHoldOdd(value, 0)) return { text, isMarked: false };
  } catch { /* A getter that throws the second time: then it throws once more. */ }
  metNonfinite = metLarge = false;
  const marked = stringify(value, escaped);
  if (metNonfinite || looksMarked) return { text: marked, isMarked: true };
  return { text: metLarge ? stringify(value, exact) : text, isMarked: false };
}

/**
 * Put NaN and the infinities back into a payload that the host has sent.
 *
 * @param {any} value parsed
 */
export const unmarked = (value) => isMarked(value) ? unescaped(value[NONFINITE]) : value;

/** @param {any} value parsed */
export const isMarked = (value) =>
  typeof value === "object" && value !== null && hasOwn(value, NONFINITE) && keys(value).length === 1;

/** @param {any} value of JSON; changed in place */
function unescaped(value) {
  if (typeof value === "string" && charCodeAt(value, 0) === HASH) {
    return hasOwn(NUMBERS, value) ? NUMBERS[value] : slice(value, 1);
  }
  if (typeof value !== "object" || value === null) return value;
  const names = isArray(value) ? undefined : keys(value), length = names === undefined ? value.length : names.length;
  for (let i = 0; i < length; i++) {
    const name = names === undefined ? i : names[i], item = value[name];
    if (typeof item === "object" || typeof item === "string") value[name] = unescaped(item);
  }
  return value;
}

/**
 * Whether an integer beyond 2**53 is in a value, where several of JSON's integers are one number.
 *
 * @param {any} value parsed
 * @returns {boolean}
 */
export function holdsLarge(value) {
  if (typeof value === "number") return !(value < LARGE && value > -LARGE) && value === value;
  if (typeof value !== "object" || value === null) return false;
  if (isArray(value)) {
    for (let i = 0; i < value.length; i++) if (holdsLarge(value[i])) return true;
    return false;
  }
  for (const name in value) if (holdsLarge(value[name])) return true;
  return false;
}
