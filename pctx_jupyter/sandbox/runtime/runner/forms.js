// @ts-check
/**
 * The JSON form of objects that `JSON.stringify` would write as something else, such as Map, Set and iterators.
 *
 * | in the program                          | in JSON                                                        |
 * |-----------------------------------------|----------------------------------------------------------------|
 * | undefined                               | null; as a property of an object it is left out                |
 * | function, symbol                        | an error; as a property of an object it is left out, with a    |
 * |                                         | warning in a result, and is an error in arguments              |
 * | NaN, Infinity                           | themselves, in a marked payload (`numbers.js`); in what is     |
 * |                                         | displayed for front ends: null                                 |
 * | -0                                      | 0                                                              |
 * | BigInt                                  | a number, all its digits; an error beyond 4,299 digits         |
 * | Date                                    | ISO text; null when invalid                                    |
 * | Map                                     | object when all keys are strings and numbers (and stay         |
 * |                                         | distinct as text), else an array of [key, value]               |
 * | Set                                     | array                                                          |
 * | typed array; ArrayBuffer, DataView      | array of numbers; array of bytes                               |
 * | Error                                   | {name, message, stack}, and its `cause` and `errors`           |
 * | iterator, generator                     | array of what is left of it                                    |
 * | URLSearchParams                         | array of [key, value]                                          |
 * | promise, async iterator, WeakMap, Blob  | an error that names the path and what to write instead;        |
 * | and other objects of the platform       | so for an iterable without properties                          |
 * | RegExp, URL                             | text                                                           |
 * | an object with `toJSON()`               | what that returns, as `JSON.stringify` writes it               |
 * | lone surrogate in a text or a key       | U+FFFD                                                         |
 * | cycle; throwing getter or `toJSON`      | an error that names the path: `value.items[3].parent`          |
 * | nesting beyond 500 levels               | an error                                                       |
 * | anything else                           | its own enumerable properties, as `JSON.stringify` does        |
 *
 * The rules are `toJSON` methods on the prototypes, so values of other kinds are written at native speed. It does not
 * know paths: `encode.js` finds the path of what was refused.
 */

import {
  $iterator,
  apply,
  ArrayC,
  arrayLength,
  bigIntText,
  bigIntValue,
  bufferLength,
  create,
  defineProperty,
  freeze,
  getPrototypeOf,
  hasOwn,
  indexOf,
  keys,
  mapEach,
  mapSize,
  numberValue,
  rawJSON,
  regExpToString,
  searchEach,
  set,
  setEach,
  setSize,
  slice,
  stringValue,
  TypedArray,
  Uint8ArrayC,
  uncurry,
  viewBuffer,
  viewLength,
  viewOffset,
  weakGet,
  weakSet,
} from "./captured.js";
import { describe, headline } from "./errors.js";

/** Elements of an iterator that become a list. */
const MAX_ELEMENTS = 1_000_000;
/** Digits of an integer, with its sign: those who read it in Python take no more. */
const MAX_DIGITS = 4_300;
/** Prototypes above an object that are searched for its kind: those of a Proxy may never end. */
const MAX_PROTOTYPES = 100;

/**
 * The state of `encode`. `isOn`: it is at work, and not the program's own `JSON.stringify`, to which our rules do not
 * apply. `refusal`: which object threw `REFUSED`, and why. `metFunction`: whether a function is in the value.
 *
 * @type {{isOn: boolean, refusal: {self: any, why: string, cause: unknown} | undefined, metFunction: boolean}}
 */
export const encoding = { isOn: false, refusal: undefined, metFunction: false };

/** Thrown by an object that has no JSON form; `encoding.refusal` holds the object and the reason. */
export const REFUSED = freeze(create(null));

/** @param {any} self @param {string} why goes on after its path: `is a promise: await it` @param {unknown} [cause] @returns {never} */
function refuse(self, why, cause) {
  encoding.refusal = { self, why, cause };
  throw REFUSED;
}

/** The functions that `teach` has made. */
export const taught = new WeakMap();

/**
 * Give one kind of value a JSON form, while `encode` is at work. Values of other kinds cost no more than the native
 * `JSON.stringify`.
 *
 * @param {object} prototype
 * @param {string} kind what to call such a value
 * @param {(self: any) => unknown} convert throws when `self` is not of that kind (a Proxy of one, for instance)
 */
function teach(prototype, kind, convert) {
  const toJSON = {
    /** @this {any} */
    toJSON() {
      if (!encoding.isOn) return this;
      try {
        return convert(this);
      } catch (error) {
        if (error === REFUSED) throw error;
      }
      // Something that only inherits from that kind may have properties of its own.
      return isRecord(this, prototype)
        ? this
        : refuse(this, "is no real " + kind + ": give a copy of what it stands for");
    },
  }.toJSON;
  weakSet(taught, toJSON, true);
  set(prototype, "toJSON", toJSON);
}

/**
 * Refuse a kind of object that has no JSON form, except where a class of the program extends it with properties.
 *
 * @param {object} prototype
 * @param {string} kind
 * @param {string} wayOut what to give instead
 */
export function refuseAll(prototype, kind, wayOut) {
  weakSet(refused, prototype, [kind, wayOut]);
  defineProperty(prototype, "toJSON", refusedToJSON);
}

/** By the prototypes that `refuseAll` was given: the kind of their objects, and what to give instead. */
const refused = new WeakMap();

/** @param {any} self an object below one of those prototypes */
function refuseKnown(self) {
  for (let i = 0, above = self; i < MAX_PROTOTYPES && above !== null; i++, above = getPrototypeOf(above)) {
    const known = weakGet(refused, above);
    if (known === undefined) continue;
    if (isRecord(self, above)) return self;
    const article = indexOf("AEIOUaeiou", slice(known[0], 0, 1)) >= 0 ? "an " : "a ";
    refuse(self, "is " + article + known[0] + ", which has no JSON form: " + known[1]);
  }
  return self;
}

/** The property of all those prototypes: a function for each would take 0.3 ms of a start. */
const refusedToJSON = {
  __proto__: null,
  configurable: true,
  writable: true,
  value: {
    /** @this {any} */
    toJSON() {
      return encoding.isOn ? refuseKnown(this) : this;
    },
  }.toJSON,
};
weakSet(taught, refusedToJSON.value, true);

/** Whether an object of a class that extends another has properties of its own. @param {any} self @param {object} prototype */
const isRecord = (self, prototype) => getPrototypeOf(self) !== prototype && self !== prototype && keys(self).length > 0;

/** What iterators held that have been drained, so that they can be written again. */
const drained = new WeakMap();

/** The elements that are left of an iterator. @param {any} self @param {any} [owner] whose iterator it is */
function drain(self, owner = self) {
  /** @type {unknown[]} */
  const list = [];
  const known = weakGet(drained, owner);
  if (known !== undefined) return known;
  let n = 0;
  try {
    const { next } = self;
    for (;;) {
      const step = apply(next, self, []);
      if (step.done) {
        if (owner === self) weakSet(drained, self, list);
        return list;
      }
      if (n === MAX_ELEMENTS) break;
      list[n++] = step.value;
    }
  } catch (error) {
    refuse(owner, "could not be read to its end: " + headline(error), error);
  }
  return refuse(
    owner,
    "is an iterator of more than " + MAX_ELEMENTS + " elements: give a part of it, as by it.take(10)",
  );
}

/** @param {Uint8Array} array any typed array */
function numbers(array) {
  const length = arrayLength(array), list = new ArrayC(length);
  for (let i = 0; i < length; i++) list[i] = array[i];
  return list;
}

{
  // `JSON.stringify` writes null, or leaves the property out. `encode` then looks for where the function is.
  const { toJSON } = {
    /** @this {any} */
    toJSON() {
      if (!encoding.isOn) return this;
      encoding.metFunction = true;
      return undefined;
    },
  };
  weakSet(taught, toJSON, true);
  set(Function.prototype, "toJSON", toJSON);
}
teach(BigInt.prototype, "BigInt", (self) => {
  const digits = bigIntText(bigIntValue(self));
  if (digits.length > MAX_DIGITS) {
    refuse(self, "is an integer of more than " + (MAX_DIGITS - 1) + " digits: make it a text with String(\u2026)");
  }
  return rawJSON(digits);
});
// Only objects of these classes have it called, never numbers and texts themselves.
teach(Number.prototype, "Number", numberValue);
teach(String.prototype, "String", stringValue);
teach(Map.prototype, "Map", (self) => {
  const size = mapSize(self), object = create(null), pairs = new ArrayC(size);
  let distinct = true, n = 0;
  mapEach(self, (/** @type {any} */ value, /** @type {any} */ key) => {
    pairs[n++] = [key, value];
    if (typeof key !== "string" && typeof key !== "number" || hasOwn(object, key)) distinct = false;
    else object[key] = value;
  });
  return distinct ? object : pairs;
});
teach(Set.prototype, "Set", (self) => {
  const list = new ArrayC(setSize(self));
  let n = 0;
  setEach(self, (/** @type {any} */ value) => list[n++] = value);
  return list;
});
teach(TypedArray.prototype, "typed array", numbers);
export const arrayToJSON = /** @type {any} */ (TypedArray.prototype).toJSON;
teach(
  ArrayBuffer.prototype,
  "ArrayBuffer",
  (self) => bufferLength(self) === 0 ? [] : numbers(new Uint8ArrayC(self)),
);
teach(
  DataView.prototype,
  "DataView",
  (self) => numbers(new Uint8ArrayC(viewBuffer(self), viewOffset(self), viewLength(self))),
);
teach(RegExp.prototype, "RegExp", regExpToString);
teach(Error.prototype, "Error", (self) => {
  const { name, message, stack } = describe(self);
  /** @type {any} */
  const told = { name, message, stack };
  if (hasOwn(self, "cause")) told.cause = self.cause;
  if (hasOwn(self, "errors")) told.errors = self.errors;
  return told;
});
teach(Iterator.prototype, "iterator", drain);
{
  // The prototype of segments is had of segments alone, and the first ones load tables for 15 ms.
  const native = uncurry(Intl.Segmenter.prototype.segment);
  let isTaught = false;
  const { segment } = {
    /** @this {any} @param {any} text */
    segment(text) {
      const segments = native(this, text);
      if (!isTaught) {
        isTaught = true;
        teach(getPrototypeOf(segments), "Segments", (self) => drain(self[$iterator](), self));
      }
      return segments;
    },
  };
  defineProperty(Intl.Segmenter.prototype, "segment", { value: segment, configurable: true, writable: true });
}
teach(URLSearchParams.prototype, "URLSearchParams", (self) => {
  /** @type {unknown[]} */
  const list = [];
  let n = 0;
  searchEach(self, (/** @type {any} */ value, /** @type {any} */ key) => list[n++] = [key, value]);
  return list;
});
teach(Promise.prototype, "promise", (self) => refuse(self, "is a promise: await it"));
refuseAll(
  getPrototypeOf(getPrototypeOf((async function* () {}).prototype)),
  "async iterator",
  "give await Array.fromAsync(it)",
);
