// @ts-check
/**
 * The harness of one sandbox: runs one program and speaks JSON-RPC 2.0, one message a line, on stdin and stdout.
 *
 * It knows how to define tools, import a program, encode values and report errors. It does not know who serves a
 * tool, how long a program may run or what it may see: the host decides, and believes nothing that is said here.
 *
 *     >  {"method":"ready","params":{"left":[]}}          globals that could not be removed; must be empty
 *     <  {"id":1,"method":"run","params":{code, entry, namespaces, inputs, output_bytes, display_bytes, timeout_s?,
 *                                                      linger_ms?, prelude?, places?}}  once
 *     >  {"id":7,"method":"call","params":{"name":"Math.add","arguments":{"a":1}}}             and "stack", if `places`
 *     <  {"id":7,"result":3}    or    {"id":7,"error":{"code","message","data":{"name","token"}}}
 *     <  {"method":"later"}                               no answer within a millisecond: go on with something else
 *     >  {"method":"output","params":{"stream":"stdout","text":"…\n","level"?}}
 *     >  {"method":"display","params":{"data":{type: content},"metadata"?,"display_id"?,"update"?,"is_value"?}}
 *     >  {"method":"unhandled","params":{"name","message","stack"}}
 *     >  {"method":"kept","params":{"values":{name: value},"refused":{name: why}}}       if `entry` asks for it
 *     >  {"id":1,"result":…}    or    {"id":1,"error":{"code":-32002,"message","data":{"name","message","stack","token"?,"phase"}}}
 *
 * What becomes of values (results and tool arguments alike)
 *
 * | in the program                          | in JSON                                                        |
 * |-----------------------------------------|----------------------------------------------------------------|
 * | undefined, function, symbol             | null; as a property of an object it is left out                |
 * | NaN, Infinity                           | themselves, in a marked payload (`nonfinite.py`); in what is   |
 * |                                         | displayed for front ends: null                                 |
 * | -0                                      | 0                                                              |
 * | BigInt                                  | a number, all its digits                                       |
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
 * Rules of this file: whatever is used after the program has been imported was captured before, with its methods
 * uncurried, because the program may replace every prototype. From then on: no method call on a value, no `for…of`,
 * no spread. Messages are built from strings, so that a `toJSON` can alter nothing but its own value.
 */

// ── Captured while nothing but this file has run ────────────────────────────────────────────────────────────────

const G = /** @type {any} */ (globalThis);
const D = /** @type {any} */ (Deno);
const uncurry = /** @type {(method: any) => (self: any, ...args: any[]) => any} */ (
  Function.prototype.bind.bind(Function.prototype.call)
);
/** @param {object} prototype @param {string} name */
const getter = (prototype, name) => uncurry(Object.getOwnPropertyDescriptor(prototype, name)?.get);

const { stringify, parse } = JSON;
const { rawJSON, isRawJSON } = /** @type {any} */ (JSON);
const { create, defineProperty, freeze, getOwnPropertyDescriptor, getPrototypeOf, hasOwn, keys } = Object;
const { apply, ownKeys } = Reflect;
const { isArray } = Array;
const { isInteger, isSafeInteger } = Number;
const [
  ArrayC,
  ArrayBufferC,
  BigIntC,
  BlobC,
  ErrorC,
  Int8ArrayC,
  NumberC,
  PromiseC,
  RangeErrorC,
  TypeErrorC,
  Uint16ArrayC,
  Uint8ArrayC,
] = [
  Array,
  ArrayBuffer,
  BigInt,
  Blob,
  Error,
  Int8Array,
  Number,
  Promise,
  RangeError,
  TypeError,
  Uint16Array,
  Uint8Array,
];
const TypedArray = getPrototypeOf(Uint8Array);
const createObjectURL = URL.createObjectURL;

const charCodeAt = uncurry(String.prototype.charCodeAt);
const indexOf = uncurry(String.prototype.indexOf);
const slice = uncurry(String.prototype.slice);
const toWellFormed = uncurry(/** @type {any} */ (String.prototype).toWellFormed);
const regExpExec = uncurry(RegExp.prototype.exec);
const regExpToString = uncurry(RegExp.prototype.toString);
const errorToString = uncurry(Error.prototype.toString);
const dateToJSON = Date.prototype.toJSON;
const numberValue = uncurry(Number.prototype.valueOf);
const stringValue = uncurry(String.prototype.valueOf);
const bigIntValue = uncurry(BigInt.prototype.valueOf);
const bigIntText = uncurry(BigInt.prototype.toString);
const mapSize = getter(Map.prototype, "size");
const mapEach = uncurry(Map.prototype.forEach);
const mapGet = uncurry(Map.prototype.get);
const mapSet = uncurry(Map.prototype.set);
const mapDelete = uncurry(Map.prototype.delete);
const setSize = getter(Set.prototype, "size");
const setEach = uncurry(Set.prototype.forEach);
const weakGet = uncurry(WeakMap.prototype.get);
const weakSet = uncurry(WeakMap.prototype.set);
const arrayLength = getter(TypedArray.prototype, "length");
const bufferLength = getter(ArrayBuffer.prototype, "byteLength");
const viewBuffer = getter(DataView.prototype, "buffer");
const viewOffset = getter(DataView.prototype, "byteOffset");
const viewLength = getter(DataView.prototype, "byteLength");
const searchEach = uncurry(URLSearchParams.prototype.forEach);
const findByte = uncurry(Uint8Array.prototype.indexOf);
const copyInto = uncurry(Uint8Array.prototype.set);
const toBase64 = uncurry(/** @type {any} */ (Uint8Array.prototype).toBase64);
const encodeInto = uncurry(TextEncoder.prototype.encodeInto);
const decode = uncurry(TextDecoder.prototype.decode);
const listen = uncurry(EventTarget.prototype.addEventListener);
const preventDefault = uncurry(Event.prototype.preventDefault);
const rejectionReason = getter(PromiseRejectionEvent.prototype, "reason");
const eventError = getter(ErrorEvent.prototype, "error");

const [$iterator, $asyncIterator, $toStringTag] = [Symbol.iterator, Symbol.asyncIterator, Symbol.toStringTag];
/**
 * A function of Deno's that loads a module when it is first looked up, which takes milliseconds: looked up when called.
 *
 * @param {string} name
 */
function lazy(name) {
  const load = uncurry(/** @type {any} */ (getOwnPropertyDescriptor(G, name)?.get ?? (() => G[name])));
  /** @type {any} */
  let found;
  return (/** @type {any} */ first, /** @type {any} */ second = undefined) => (found ??= load(G))(first, second);
}
const setTimeout = lazy("setTimeout"), clearTimeout = lazy("clearTimeout");
const setInterval = lazy("setInterval"), clearInterval = lazy("clearInterval");
const now = performance.now.bind(performance);
const isPromise = D[D.internal].core.isPromise;
const read = D.stdin.read.bind(D.stdin);
const readSync = D.stdin.readSync.bind(D.stdin);
const write = D.stdout.writeSync.bind(D.stdout);
const exit = D.exit.bind(D);
const inspect = D.inspect;
const ConsoleC = D[D.internal].Console;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Code of a program that failed. */
const EXECUTION_FAILED = -32002;
/** Levels; Python's JSON readers give up at about 1,000, less the depth of the stack they are called on. */
const MAX_DEPTH = 500;
/** A depth from which the next sixteen bytes cannot lead beyond `MAX_DEPTH`. */
const SAFE_DEPTH = MAX_DEPTH - 16;
/** UTF-16 units of an error's name, message and stack that leave the sandbox. */
const MAX_TEXT = 8000;
/** Notifications of unhandled rejections a run: each is a line, and a loop makes many. */
const MAX_UNHANDLED = 100;
/** Bytes written at once: what a pipe holds. */
const CHUNK = 1 << 16;
/** Elements of an iterator that become a list. */
const MAX_ELEMENTS = 1_000_000;
/** Causes of an error that are told with it, and errors of an AggregateError. */
const MAX_CAUSES = 5;
/** Milliseconds without an answer after which a program that has its value no longer waits for calls nobody awaits. */
const LINGER_MS = 10_000;
/** Milliseconds a program that has its value waits for its timers. */
const GRACE_MS = 1_000;
/** The part of its time after which a program that has its value waits for nothing more. */
const PATIENCE = 0.9;
/** Tools that a warning lists. */
const MAX_LISTED = 5;
/** Answers in a row that are awaited with the process at a stand, before timers and lost rejections have their turn. */
const MAX_STANDSTILLS = 16;
/** Steps a program may take between an answer and its next call: each `async` function on the way out takes some. */
const STEPS = 20;
/** Steps that functions nobody awaits may take before they call, or after an answer. */
const MANY_STEPS = 40;

// ── Lines out ───────────────────────────────────────────────────────────────────────────────────────────────────

const outBuffer = new ArrayBufferC(CHUNK);
const outBytes = new Uint8ArrayC(outBuffer);
const outPairs = new Uint16ArrayC(outBuffer);

/**
 * Encode the next part of a well-formed text into the out buffer.
 *
 * @param {string} text
 * @param {number} at where the part begins, in UTF-16 units
 * @param {number} room bytes the part may take
 * @returns {{read: number, written: number}} units taken from the text and bytes written; never half a character
 */
function encodePart(text, at, room) {
  let end = at + CHUNK;
  // A slice that ends inside a surrogate pair would be encoded as two U+FFFD.
  if (end < text.length && (charCodeAt(text, end - 1) & 0xfc00) === 0xd800) end--;
  return encodeInto(encoder, slice(text, at, end), room < CHUNK ? new Uint8ArrayC(outBuffer, 0, room) : outBytes);
}

/**
 * Write one message. It blocks while the pipe is full: a host that stops reading stops the program.
 *
 * @param {string} message JSON without a line break
 */
function send(message) {
  const text = message + "\n";
  for (let at = 0; at < text.length;) {
    const part = encodePart(text, at, CHUNK);
    for (let i = 0; i < part.written;) i += write(new Uint8ArrayC(outBuffer, i, part.written - i));
    at += part.read;
  }
}

/** @param {string} method @param {string} params JSON */
const notify = (method, params) => send('{"jsonrpc":"2.0","method":"' + method + '","params":' + params + "}");

// ── Values to JSON ──────────────────────────────────────────────────────────────────────────────────────────────

/** Whether `encode` is at work. Otherwise the program's own `JSON.stringify` is, and hears nothing of our rules. */
let encoding = false;

/** Thrown by what refuses to become JSON; `refusal` says which object that was, and why. */
const REFUSED = freeze(create(null));
/** @type {{self: any, why: string, cause: unknown} | undefined} */
let refusal;

/** @param {any} self @param {string} why goes on after its path: `is a promise: await it` @param {unknown} [cause] @returns {never} */
function refuse(self, why, cause) {
  refusal = { self, why, cause };
  throw REFUSED;
}

/** The functions that `teach` has made. */
const taught = new WeakMap();

/**
 * Teach `JSON.stringify` one more kind of value, for our own use only: values without such a kind then cost nothing
 * more than the native call.
 *
 * @param {object} prototype
 * @param {string} kind what to call such a value
 * @param {(self: any) => unknown} convert throws when `self` is not of that kind (a Proxy of one, for instance)
 */
function teach(prototype, kind, convert) {
  const toJSON = {
    /** @this {any} */
    toJSON() {
      "use strict";
      if (!encoding) return this;
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
  defineProperty(prototype, "toJSON", { value: toJSON, configurable: true, writable: true });
}

/**
 * Have a kind of object refused that has no JSON form, unless a class of the program's own extends it by properties.
 *
 * @param {object} prototype
 * @param {string} kind
 * @param {string} wayOut what to give instead
 */
function refuseAll(prototype, kind, wayOut) {
  const why = (/^[AEIOUaeiou]/.test(kind) ? "is an " : "is a ") + kind + ", which has no JSON form: " + wayOut;
  teach(prototype, kind, (self) => isRecord(self, prototype) ? self : refuse(self, why));
}

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

teach(BigInt.prototype, "BigInt", (self) => rawJSON(bigIntText(bigIntValue(self))));
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
const arrayToJSON = /** @type {any} */ (TypedArray.prototype).toJSON;
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
/** What to give in place of an object of the platform. @type {Record<string, string>} */
const WAYS_OUT = {
  Blob: "give await blob.text(), or await blob.bytes()",
  CryptoKey: "give what crypto.subtle.exportKey makes of it",
  FinalizationRegistry: "it only calls back",
  WeakMap: "its entries cannot be listed; use a Map",
  WeakRef: "give its deref()",
  WeakSet: "its elements cannot be listed; use a Set",
};
/** Values, or classes of values that have a form of their own. */
const PLAIN = new Set(["Array", "Boolean", "Function", "Number", "Object", "Proxy", "String"]);

/** The only key of a payload in which NaN or an infinity occurs; `nonfinite.py` has the rules. */
const NONFINITE = "$pctx.nonfinite";
/** How such a payload begins. */
const MARK = '{"' + NONFINITE + '":';
const HASH = 0x23;
/** @type {Record<string, number>} */
const NUMBERS = /** @type {any} */ ({ __proto__: null, "#NaN": NaN, "#Infinity": Infinity, "#-Infinity": -Infinity });
/** What `escaped` has met: such a number, and an integer of which `JSON.stringify` writes other digits. */
let metNonfinite = false, metLarge = false;

/**
 * Write such numbers as texts, and all texts that begin like those with one sign more: a replacer.
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

/** From here on, not every integer is a number. */
const LARGE = 2 ** 53;

/** Whether a number is an integer beyond 2**53 that is written without an exponent. @param {number} value */
const isLarge = (value) => !isSafeInteger(value) && isInteger(value) && value < 1e21 && value > -1e21;

/**
 * Write an integer beyond 2**53 with all its digits: a replacer. `JSON.stringify` puts zeros in the place of those that
 * JavaScript does not need to tell it from others, and in Python it would be another integer.
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
function rewritten(value, text) {
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
const unmarked = (value) => isMarked(value) ? unescaped(value[NONFINITE]) : value;

/** @param {any} value parsed */
const isMarked = (value) =>
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
 * Write a value as JSON that strict readers accept.
 *
 * @param {unknown} value
 * @param {string} root what to call the value in an error: `result`
 * @param {boolean} [marks] whether the reader knows of marked payloads
 * @returns {string} JSON in one line, well-formed Unicode, not nested too deeply
 * @throws {TypeError} naming the path of what cannot be written
 */
function encode(value, root, marks = true) {
  let text, fault, isMarked = false;
  refusal = undefined;
  encoding = true;
  try {
    text = stringify(value);
    // So is written what has no JSON form and is not known to have none.
    if (text !== undefined && indexOf(text, "{}") >= 0) fault = search(value, root);
    if (marks && text !== undefined && fault === undefined) ({ text, isMarked } = rewritten(value, text));
  } catch (error) {
    fault = explain(value, root, error);
  } finally {
    encoding = false;
  }
  if (fault !== undefined) throw fault;
  if (text === undefined) return "null";
  if (indexOf(text, "\\ud") >= 0 || indexOf(text, "\\uD") >= 0) text = replaceLone(text);
  if (isTooDeep(text)) throw new TypeErrorC(root + " is nested deeper than " + MAX_DEPTH + " levels");
  return isMarked ? MARK + text + "}" : text;
}

/**
 * Replace the escapes of surrogates: `JSON.stringify` writes them for lone ones only, pairs it writes as they are.
 *
 * @param {string} text JSON
 */
function replaceLone(text) {
  let done = "", from = 0;
  for (let i = indexOf(text, "\\"); i >= 0; i = indexOf(text, "\\", i)) {
    const isLone = charCodeAt(text, i + 1) === 0x75 && (charCodeAt(text, i + 2) | 0x20) === 0x64 &&
      charCodeAt(text, i + 3) >= 0x38;
    if (isLone) {
      done += slice(text, from, i) + "\ufffd";
      from = i + 6;
    }
    i += isLone ? 6 : 2; // Two: the second of `\\` begins nothing.
  }
  return done + slice(text, from);
}

/** By two bytes of UTF-8, read as one number: how many levels they open, less those they close. */
const levels = new Int8ArrayC(1 << 16);
for (let second = 0; second < 256; second++) {
  for (let i = 0; i < 4; i++) {
    const bracket = charCodeAt("[{]}", i), step = i < 2 ? 1 : -1;
    levels[second << 8 | bracket] += step;
    levels[bracket << 8 | second] += step;
  }
}

/**
 * Count levels from the out buffer. Sixteen bytes at a time, in blocks: a function that is called often is compiled
 * sooner than one that loops long, and most values are the first that their sandbox writes.
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
 * The first look takes brackets inside texts for structure; only where that seems too deep is a second, exact one
 * needed. (Texts with hundreds of closing brackets can hide depth from it; then the host's own reader refuses.)
 *
 * @param {string} text JSON
 */
function isTooDeep(text) {
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

/** Values `explain` looks at before it gives up. */
const MAX_VISITS = 1_000_000;
const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$_]*$/u;

/**
 * Find out why a value cannot be written.
 *
 * @param {unknown} value
 * @param {string} root
 * @param {unknown} error what `JSON.stringify` threw
 * @returns {TypeError}
 */
function explain(value, root, error) {
  const found = search(value, root);
  if (found !== undefined) return found;
  if (error === REFUSED) return new TypeErrorC(root + " holds a value that " + refusal?.why);
  const fault = new TypeErrorC(root + " cannot be written as JSON: " + headline(error));
  set(fault, "cause", error);
  return fault;
}

/**
 * Why an object that would be written as `{}` is no record; undefined: it is one.
 *
 * @param {any} value
 */
function notARecord(value) {
  if (isPromise(value)) return "is a promise: await it";
  if (typeof value[$iterator] === "function") return "is an iterable without properties of its own: give [...it]";
  if (typeof value[$asyncIterator] === "function") return "is an async iterable: give await Array.fromAsync(it)";
  const kind = value[$toStringTag];
  if (typeof kind !== "string") return undefined;
  return "is an object of the kind " + slice(kind, 0, 40) + ", which has no JSON form: give what you need of it";
}

/**
 * Find in a value what cannot be written, by walking it as `JSON.stringify` does.
 *
 * @param {unknown} value
 * @param {string} root
 * @returns {TypeError | undefined}
 */
function search(value, root) {
  let visits = 0;
  /** @param {string} message @param {unknown} [cause] */
  const fault = (message, cause) => {
    const found = new TypeErrorC(message);
    if (cause !== undefined) set(found, "cause", cause);
    return found;
  };
  /** @param {string} path */
  const refused = (path) => {
    const { why, cause } = /** @type {{why: string, cause: unknown}} */ (refusal);
    const isItem = charCodeAt(path, path.length - 1) === 0x5d && charCodeAt(path, path.length - 2) !== 0x22;
    const isListed = isItem && why === "is a promise: await it";
    return fault(path + " " + (isListed ? "is a promise: await the list with await Promise.all(…)" : why), cause);
  };
  /** @param {any} value @param {string} path @param {any} above @param {number} depth @returns {TypeError | undefined} */
  const walk = (value, path, above, depth) => {
    if (++visits > MAX_VISITS) return undefined;
    // Before its `toJSON`: a Map in itself becomes a new object each time.
    for (let up = above; up !== undefined; up = up.above) {
      if (up.value === value) return fault(path + " is a cycle");
    }
    const here = typeof value === "object" && value !== null ? { value, above } : above;
    if (refusal !== undefined && refusal.self === value) return refused(path);
    if (typeof value === "object" && value !== null || typeof value === "bigint") {
      let toJSON;
      try {
        toJSON = value.toJSON;
      } catch (error) {
        return fault(path + ".toJSON could not be read: " + headline(error), error);
      }
      if (typeof toJSON === "function") {
        try {
          value = uncurry(toJSON)(value, "");
        } catch (error) {
          if (error === REFUSED) return refused(path);
          return fault(path + ".toJSON() failed: " + headline(error), error);
        }
      }
    }
    if (typeof value === "bigint") return fault(path + " is a BigInt");
    if (typeof value !== "object" || value === null) return undefined;
    if (depth > MAX_DEPTH) return fault(root + " is nested deeper than " + MAX_DEPTH + " levels");
    let isList = false, names, length = 0;
    try {
      isList = isArray(value);
      if (isList) length = value.length;
      else length = (names = keys(value)).length;
    } catch (error) {
      return fault(path + " could not be read: " + headline(error), error);
    }
    let isEmpty = !isList;
    for (let i = 0; i < length && visits <= MAX_VISITS; i++) {
      const name = names === undefined ? i : names[i];
      const at = path + (names === undefined ? "[" + i + "]" : property(names[i]));
      let item;
      try {
        item = value[name];
      } catch (error) {
        return fault(at + " could not be read: " + headline(error), error);
      }
      const found = walk(item, at, here, depth + 1);
      if (found !== undefined) return found;
      if (item !== undefined && typeof item !== "function" && typeof item !== "symbol") isEmpty = false;
    }
    if (!isEmpty || visits > MAX_VISITS) return undefined;
    try {
      const why = notARecord(value);
      return why === undefined ? undefined : fault(path + " " + why);
    } catch (error) {
      return fault(path + " could not be read: " + headline(error), error);
    }
  };
  return walk(value, root, undefined, 1);
}

/** @param {string} name */
const property = (name) =>
  regExpExec(IDENTIFIER, name) !== null ? "." + name : "[" + stringify(toWellFormed(name)) + "]";

// ── Errors ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** The URL the program was imported from, once it is known; in texts it becomes `program.ts`. */
let programURL = "";

/** What later became of a kept cell: its URL, and its name. @type {{url: string, name: string, above: any} | undefined} */
let keptURLs;

/** @param {string} text */
function rename(text) {
  for (let kept = keptURLs; kept !== undefined; kept = kept.above) text = replaceAll(text, kept.url, kept.name);
  return programURL === "" ? text : replaceAll(text, programURL, "program.ts");
}

/** @param {string} text @param {string} url @param {string} name */
function replaceAll(text, url, name) {
  let done = "", from = 0;
  for (let i; (i = indexOf(text, url, from)) >= 0; from = i + url.length) done += slice(text, from, i) + name;
  return from === 0 ? text : done + slice(text, from);
}

/** @param {string} text */
const tidy = (text) => rename(toWellFormed(text.length > MAX_TEXT ? slice(text, 0, MAX_TEXT) + "…" : text));

/**
 * What `error.stack` is made of: no frame of this file or of Deno's, so that neither programs nor their readers see
 * paths of the host.
 *
 * @param {unknown} error
 * @param {any} sites
 */
function prepareStackTrace(error, sites) {
  let text;
  try {
    text = errorToString(error);
  } catch {
    text = "Error";
  }
  for (let i = 0; i < sites.length; i++) {
    const file = sites[i].getScriptNameOrSourceURL();
    if (typeof file === "string" && indexOf(file, "blob:") !== 0 && indexOf(file, "data:") !== 0) continue;
    text += "\n    at " + sites[i].toString();
  }
  return rename(text);
}
defineProperty(Error, "prepareStackTrace", { value: prepareStackTrace, configurable: true, writable: true });

/**
 * Read a property of a stranger's value.
 *
 * @param {any} value
 * @param {string} name
 * @returns {string | undefined} undefined when it is no text, or cannot be read
 */
function textOf(value, name) {
  try {
    const text = value[name];
    return typeof text === "string" ? tidy(text) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Say in texts what was thrown, whatever it is; anything can be.
 *
 * @param {unknown} thrown
 * @returns {{name: string, message: string, stack: string}}
 */
function describe(thrown) {
  if (typeof thrown === "object" && thrown !== null) {
    const message = textOf(thrown, "message");
    if (message !== undefined) {
      return { name: textOf(thrown, "name") || "Error", message, stack: textOf(thrown, "stack") ?? "" };
    }
  }
  try {
    return { name: "Thrown", message: tidy(inspect(thrown, { depth: 2 })), stack: "" };
  } catch {
    return { name: "Thrown", message: "a value that cannot be shown", stack: "" };
  }
}

/** @param {unknown} thrown */
function headline(thrown) {
  const { name, message } = describe(thrown);
  return name + ": " + message;
}

/**
 * What an error says, and what it says of its causes.
 *
 * @param {unknown} thrown
 */
function messageWithCauses(thrown) {
  let { message } = describe(thrown), error = /** @type {any} */ (thrown);
  try {
    if (isArray(error.errors)) {
      const { errors } = error;
      for (let i = 0; i < errors.length && i < MAX_CAUSES; i++) message += "\n- " + headline(errors[i]);
      if (errors.length > MAX_CAUSES) message += "\n- and " + (errors.length - MAX_CAUSES) + " more";
    }
    for (let i = 0; i < MAX_CAUSES && typeof error === "object" && error !== null && hasOwn(error, "cause"); i++) {
      error = error.cause;
      if (error === undefined || error === thrown) break;
      const cause = headline(error);
      if (indexOf(message, cause) < 0) message += "\nCaused by: " + cause;
    }
  } catch { /* It has no causes that can be read. */ }
  return tidy(message);
}

/** Tokens of failed tool calls, by the Error each became: the host knows by them what really happened. */
const tokens = new WeakMap();

/**
 * Find the token of the failed tool call that caused an error.
 *
 * @param {any} error
 * @returns {string | undefined}
 */
function tokenOf(error) {
  try {
    for (let i = 0; i < 16 && typeof error === "object" && error !== null; i++, error = error.cause) {
      const token = weakGet(tokens, error);
      if (token !== undefined) return token;
    }
  } catch { /* A throwing `cause` has no token. */ }
  return undefined;
}

/** @param {unknown} thrown @param {string} more further members, as JSON */
function errorJSON(thrown, more) {
  const { name, stack } = describe(thrown), message = messageWithCauses(thrown);
  return '{"name":' + stringify(name) + ',"message":' + stringify(message) + ',"stack":' + stringify(stack) + more +
    "}";
}

// ── Tools ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Calls the host has not answered yet, by id. */
const pending = new Map();
/** The same by the promises that programs have. */
const entries = new WeakMap();
let lastId = 0;
/** The latest that the host was told of: a call may fail on the way, as where the stack is full. */
let lastSent = 0;

/** The latest call that was answered. */
let lastAnswered = 0;

/** Whether calls say where they are: it takes as long as a short call does. */
let places = false;

/**
 * Ask the host to run a tool.
 *
 * @param {string} name canonical path: `Math.add`
 * @param {unknown} args any value; undefined for none
 * @returns {Promise<unknown>} rejected when the call fails, or its arguments cannot be written
 */
function call(name, args) {
  let params = '{"name":' + stringify(toWellFormed(name));
  if (args !== undefined) {
    try {
      params += ',"arguments":' + encode(args, "arguments");
    } catch (fault) {
      // A new one, because that one's frames are all of this file.
      const { message, cause } = /** @type {TypeError} */ (fault);
      const error = new TypeErrorC("Cannot call " + name + ": " + message);
      if (cause !== undefined) set(error, "cause", cause);
      return new PromiseC((_, reject) => reject(error));
    }
  }
  const id = ++lastId;
  // The Error is made where the program called, so that its stack says where; what went wrong is put in when known.
  const error = new ErrorC();
  /** @type {any} */
  const entry = { resolve: undefined, reject: undefined, error, name, isSent: false, isRaced: false };
  const answer = new PromiseC((resolve, reject) => {
    entry.resolve = resolve;
    entry.reject = reject;
  });
  mapSet(pending, id, entry);
  weakSet(entries, answer, entry);
  if (places) params += ',"stack":' + stringify(textOf(error, "stack") ?? "");
  send('{"jsonrpc":"2.0","id":' + id + ',"method":"call","params":' + params + "}}");
  lastSent = id;
  entry.isSent = true; // It is not where the stack was full on the way.
  return answer;
}

/** @param {object} target @param {string} name @param {unknown} value */
const set = (target, name, value) =>
  // Without a prototype: a program may have given all objects a `get`, which would make this an accessor.
  defineProperty(target, name, /** @type {any} */ ({ __proto__: null, value, configurable: true, writable: true }));

/**
 * Say in the Error of a call why it failed. Its `stack` must stay V8's own: Deno replaces an Error without frames when
 * it leaves a module, and with it would go the token.
 *
 * @param {Error} error
 * @param {any} reason the error of JSON-RPC
 */
function failed(error, reason) {
  set(error, "message", hasOwn(reason, "message") ? reason.message : "");
  const data = hasOwn(reason, "data") ? reason.data : null;
  if (typeof data !== "object" || data === null) return error;
  if (hasOwn(data, "name") && typeof data.name === "string") set(error, "name", data.name);
  if (hasOwn(data, "token") && typeof data.token === "string") weakSet(tokens, error, data.token);
  return error;
}

/** An integer of JSON that may have more digits than a number of JavaScript; also within a text. */
const LONG = /[[:,]-?[0-9]{16,}[,\]}]/;
/** Looks for such an integer, where one may be, that a run takes at most. */
const MOST_LOOKS = 3;
let looks = 0;

/**
 * Whether an integer beyond 2**53 is in a value, where several of JSON's integers are one number.
 *
 * @param {any} value parsed
 * @returns {boolean}
 */
function holdsLarge(value) {
  if (typeof value === "number") return !(value < LARGE && value > -LARGE) && value === value;
  if (typeof value !== "object" || value === null) return false;
  if (isArray(value)) {
    for (let i = 0; i < value.length; i++) if (holdsLarge(value[i])) return true;
    return false;
  }
  for (const name in value) if (holdsLarge(value[name])) return true;
  return false;
}

/**
 * Say on stderr, once, which integer of what the host has sent is rounded here.
 *
 * @param {string} line the message
 * @param {any} value what of it the program gets
 * @param {readonly string[]} root the way there from the message
 * @param {string} what how the warning calls it
 * @param {string} exact the way out
 */
function warnOfRounding(line, value, root, what, exact) {
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
    what + at + " is " + (source.length > 60 ? slice(source, 0, 60) + "…" : source) +
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

/** @param {any} message an answer to one of our calls @param {string} line it */
function settle(message, line) {
  const call = mapGet(pending, message.id);
  if (call === undefined) return;
  mapDelete(pending, message.id);
  lastAnswered = message.id;
  if (hasOwn(message, "error")) call.reject(failed(call.error, message.error));
  else {
    const value = unmarked(message.result);
    warnOfRounding(line, value, ["result"], "The result of " + call.name + ": value", "Return it as text: str(…)");
    call.resolve(value);
  }
  wake();
}

/**
 * Define what the program finds: tools, inputs and the two ways to call a tool by its name.
 *
 * @param {Record<string, Record<string, string>>} namespaces global name → property → canonical path
 * @param {Record<string, unknown>} inputs
 * @param {string} line the message
 */
function install(namespaces, inputs, line) {
  const paths = create(null);
  const spelled = create(null); // every spelling of a full name → its canonical path
  for (const namespace of /** @type {string[]} */ (ownKeys(namespaces))) {
    const tools = namespaces[namespace], old = hasOwn(G, namespace) ? G[namespace] : undefined;
    // `Math.add` stands next to `Math.max`: a namespace with the name of a built-in extends it.
    const extended = typeof old === "function" || typeof old === "object" && old !== null ? old : undefined;
    const target = extended ?? create(null);
    for (const name of /** @type {string[]} */ (ownKeys(tools))) {
      const path = tools[name];
      const tool = (/** @type {unknown} */ args) => call(path, args);
      define(target, name, tool, "tool " + path);
      paths[path] = true;
      spelled[namespace + "." + name] = path;
    }
    if (extended === undefined) define(G, namespace, freeze(target), "namespace " + namespace);
  }
  const list = () => keys(paths);
  const execute = (/** @type {unknown} */ name, /** @type {unknown} */ args) => {
    if (typeof name !== "string") throw new TypeErrorC("Cannot call a tool: its name must be a text");
    return call(hasOwn(spelled, name) ? spelled[name] : name, args);
  };
  const callable = create(null);
  define(callable, "execute", execute, "");
  define(callable, "list", list, "");
  for (const name of /** @type {string[]} */ (ownKeys(inputs))) {
    const value = unmarked(inputs[name]);
    define(G, name, value, "input " + name);
    warnOfRounding(line, value, ["params", "inputs", name], name, "Pass it as text: str(…)");
  }
  if (!hasOwn(G, "CALLABLE_TOOLS")) define(G, "CALLABLE_TOOLS", freeze(callable), "");
  if (!hasOwn(G, "list_functions")) define(G, "list_functions", list, "");
}

/** @param {object} target @param {string} name @param {unknown} value @param {string} what for the error */
function define(target, name, value, what) {
  try {
    // A tool in place of `Math.floor` would change what programs and libraries mean by it.
    if (target !== G && name in target) throw REFUSED;
    defineProperty(target, name, { value, enumerable: true, configurable: false, writable: false });
  } catch {
    throw new TypeErrorC("Cannot define " + what + ": JavaScript has a property of that name; choose another name");
  }
}

// ── What is kept ────────────────────────────────────────────────────────────────────────────────────────────────

const ObjectPrototype = Object.prototype;

/**
 * Define what was kept of an earlier program. What the program declares itself hides it.
 *
 * @param {{name: string, names: string[], code: string, values: Record<string, unknown>}} cell
 */
async function revive(cell) {
  const url = createObjectURL(new BlobC([cell.code], { type: "application/typescript" }));
  keptURLs = { url, name: cell.name, above: keptURLs };
  try {
    const names = keys(cell.values);
    for (let i = 0; i < names.length; i++) set(cell.values, names[i], unmarked(cell.values[names[i]]));
    set(G, "__pctx_kept", cell.values);
    const module = await import(url);
    delete G.__pctx_kept;
    for (let i = 0; i < cell.names.length; i++) {
      const name = cell.names[i];
      // An input of that name hides it.
      if (!hasOwn(G, name) || isConfigurable(name)) {
        defineProperty(G, name, /** @type {any} */ ({ __proto__: null, value: module[name], configurable: true }));
      }
    }
  } catch (error) {
    let listed = "";
    for (let i = 0; i < cell.names.length; i++) listed += (i === 0 ? "" : " ") + cell.names[i];
    throw new ErrorC(
      "Cannot use what is kept of an earlier program (" + headline(error) + "); %pctx forget " + listed,
    );
  }
}

/** @param {string} name of a global */
const isConfigurable = (name) => getOwnPropertyDescriptor(G, name)?.configurable === true;

/**
 * Why a value cannot be given to later programs as it is; undefined: it can.
 *
 * @param {any} value
 * @param {number} depth
 * @returns {string | undefined}
 */
function unfit(value, depth) {
  if (value === null) return undefined;
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined;
    case "number":
      return undefined;
    case "object":
      break;
    default:
      return typeof value === "undefined" ? "undefined has no JSON form" : "a " + typeof value + " has no JSON form";
  }
  if (depth >= MAX_DEPTH) return "it is a cycle, or nested too deeply";
  const above = getPrototypeOf(value), isList = isArray(value);
  if (!isList && above !== ObjectPrototype && above !== null) return kindOf(value) + " has no JSON form";
  const names = keys(value);
  for (let i = 0; i < names.length; i++) {
    const item = value[names[i]];
    if (item === undefined && !isList) continue;
    const why = unfit(item, depth + 1);
    if (why !== undefined) return why;
  }
  return undefined;
}

/** @param {any} value */
function kindOf(value) {
  const name = textOf(value.constructor, "name") || "an object of a class";
  return name === "Promise" ? "a Promise (await it)" : "a " + name;
}

/**
 * The constants of a program that has ended, and which of them cannot be kept.
 *
 * @param {any} constants by name
 * @returns {string} JSON
 */
function capture(constants) {
  let values = "", refused = "";
  const names = keys(constants);
  for (let i = 0; i < names.length; i++) {
    const key = stringify(names[i]) + ":";
    let why, text = "";
    try {
      why = unfit(constants[names[i]], 0);
      if (why === undefined) text = encode(constants[names[i]], names[i]);
    } catch (error) {
      why = "it cannot be read (" + headline(error) + ")";
    }
    if (why === undefined) values += (values === "" ? "" : ",") + key + text;
    else refused += (refused === "" ? "" : ",") + key + stringify(why);
  }
  return '{"values":{' + values + '},"refused":{' + refused + "}}";
}

// ── The run ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** @param {any} module @param {{run: string | null, value: string | null}} entry */
function valueOf(module, entry) {
  if (entry.run !== null && typeof module[entry.run] === "function") return module[entry.run]();
  if (entry.value === null && typeof module.run === "function") return module.run();
  if (hasOwn(module, "default")) return typeof module.default === "function" ? module.default() : module.default;
  return entry.value === null ? undefined : module[entry.value];
}

/** @param {unknown} id @param {any} params @param {string} line the message */
async function run(id, params, line) {
  const head = '{"jsonrpc":"2.0","id":' + stringify(id), began = now();
  let phase = "import", answer;
  try {
    budget = outputBytes = params.output_bytes;
    displayBudget = displayBytes = params.display_bytes;
    places = params.places === true;
    install(params.namespaces, params.inputs, line);
    const prelude = params.prelude;
    if (prelude !== undefined) { for (let i = 0; i < prelude.length; i++) await revive(prelude[i]); }
    programURL = createObjectURL(new BlobC([params.code], { type: "application/typescript" }));
    const module = await import(programURL);
    phase = "run";
    const value = await valueOf(module, params.entry);
    await finish(value, params, began);
    phase = "result";
    const result = encode(value, "value");
    await displayValue(value);
    answer = head + ',"result":' + result + "}";
    if (params.entry.kept) notify("kept", capture(module[params.entry.kept]()));
  } catch (error) {
    const token = tokenOf(error);
    const more = (token === undefined ? "" : ',"token":' + stringify(token)) + ',"phase":"' + phase + '"';
    answer = head + ',"error":{"code":' + EXECUTION_FAILED + ',"message":' + stringify(headline(error)) +
      ',"data":' + errorJSON(error, more) + "}}";
  }
  send(answer);
}

// ── What the program does not wait for ──────────────────────────────────────────────────────────────────────────

/** What is to come of timers, by id. @type {Map<number, {due: number, isRepeated: boolean}>} */
const timers = new Map();

/** Lets `finish` look again. */
let wake = () => {};

/** @param {any} set @param {boolean} isRepeated */
const timer =
  (set, isRepeated) => (/** @type {any} */ callback, /** @type {any} */ delay, /** @type {any[]} */ ...args) => {
    if (typeof callback !== "function") return set(callback, delay);
    // A number, as it is declared: Deno gives an object, as Node.js does.
    const id = NumberC(set(() => {
      if (!isRepeated) mapDelete(timers, id);
      try {
        apply(callback, G, args);
      } finally {
        wake();
      }
    }, delay));
    mapSet(timers, id, { due: now() + (NumberC(delay) || 0), isRepeated });
    return id;
  };
/** @param {any} clear */
const clearer = (clear) => (/** @type {any} */ id) => {
  mapDelete(timers, NumberC(id));
  return clear(id);
};
for (
  const [name, value] of Object.entries({
    setTimeout: timer(setTimeout, false),
    setInterval: timer(setInterval, true),
    clearTimeout: clearer(clearTimeout),
    clearInterval: clearer(clearInterval),
  })
) {
  defineProperty(value, "name", { value: name, configurable: true });
  defineProperty(G, name, { value, configurable: true, enumerable: true, writable: true });
}

// Who races calls does not want to wait for the others.
for (const name of ["race", "any"]) {
  const native = uncurry(/** @type {any} */ (Promise)[name]);
  const value = {
    /** @this {any} @param {any} promises */
    [name](promises) {
      if (isArray(promises)) {
        for (let i = 0; i < promises.length; i++) {
          const item = promises[i], entry = typeof item === "object" ? weakGet(entries, item) : undefined;
          if (entry !== undefined) entry.isRaced = true;
        }
      }
      return native(this, promises);
    },
  }[name];
  defineProperty(Promise, name, { value, configurable: true, writable: true });
}

/** Tools and how often each is called, of the calls that have no answer and are missed. */
function unanswered() {
  const counts = create(null);
  let calls = 0, listed = "";
  mapEach(pending, (/** @type {any} */ { name, isSent, isRaced }) => {
    if (isRaced || !isSent) return;
    calls++;
    counts[name] = (counts[name] ?? 0) + 1;
  });
  const names = keys(counts);
  for (let i = 0; i < names.length && i < MAX_LISTED; i++) {
    listed += (i === 0 ? "" : ", ") + names[i] + (counts[names[i]] > 1 ? " (" + counts[names[i]] + " times)" : "");
  }
  return { calls, listed: names.length > MAX_LISTED ? listed + ", …" : listed };
}

/** @param {number} count @param {string} noun */
const counted = (count, noun) => count + " " + noun + (count === 1 ? "" : "s");

/**
 * Wait for what a program has begun and not awaited, as Deno does at its end; but not for what never ends.
 *
 * Calls are waited for while they are answered, timers for a moment. What is then cut off is said.
 *
 * @param {unknown} value what cannot be written fails at once
 * @param {any} params
 * @param {number} began
 */
async function finish(value, params, began) {
  let intervals = 0, timeouts = 0, isTold = false;
  const linger = params.linger_ms ?? LINGER_MS, grace = now() + GRACE_MS;
  const latest = params.timeout_s === undefined ? Infinity : began + params.timeout_s * 1000 * PATIENCE;
  let due = now() + linger, left = Infinity;
  for (;;) {
    // What an answer lets go on may call again.
    for (let i = 0; i < MANY_STEPS; i++) await undefined;
    const { calls, listed } = unanswered();
    if (calls > 0 && !isTold) {
      isTold = true;
      encode(value, "value");
      print(
        "Warning: " + counted(calls, "tool call") + " not awaited: " + listed + ". The program waits for " +
          (calls === 1 ? "it" : "them") + ", but a value computed before may lack what " +
          (calls === 1 ? "it does" : "they do") +
          ". forEach does not await async functions: use for (const x of xs), " +
          "or await Promise.all(xs.map(async (x) => …))\n",
        2,
      );
    }
    let soonest = Infinity;
    mapEach(timers, (/** @type {any} */ timer, /** @type {any} */ id) => {
      if (timer.isRepeated) {
        intervals++;
        mapDelete(timers, id);
        clearInterval(id);
      } else if (timer.due < soonest) soonest = timer.due;
    });
    const time = now();
    if (lastAnswered !== left) {
      left = lastAnswered;
      due = time + linger;
    }
    const until = calls > 0 ? due < latest ? due : latest : soonest <= grace && soonest < latest ? grace : 0;
    if (time >= until) {
      timeouts = mapSize(timers);
      if (calls + intervals + timeouts > 0) tellCut(calls, listed, intervals, timeouts);
      return;
    }
    let id = 0;
    const waiting = new PromiseC((resolve) => {
      wake = /** @type {any} */ (resolve);
      id = setTimeout(resolve, until - time);
    });
    set(waiting, "constructor", PromiseC);
    await waiting;
    clearTimeout(id);
  }
}

/** @param {number} calls @param {string} listed @param {number} intervals @param {number} timeouts */
function tellCut(calls, listed, intervals, timeouts) {
  let text = calls > 0 ? counted(calls, "tool call") + " (" + listed + ")" : "";
  if (intervals > 0) text += (text === "" ? "" : ", ") + counted(intervals, "setInterval");
  if (timeouts > 0) text += (text === "" ? "" : ", ") + counted(timeouts, "setTimeout");
  print(
    "Warning: cut off at the end of the program: " + text + ". " +
      (calls > 0 ? "Await what the program needs" : "clearInterval and clearTimeout end timers that are not needed") +
      "\n",
    2,
  );
}

// ── What the program prints, and what it lets fall ──────────────────────────────────────────────────────────────

/** Bytes the program may print, and what is left of them. */
let outputBytes = 0, budget = 0;

/** @param {string} text ends with a line break @param {number} level 0 debug, 1 log and info, above: to stderr */
function print(text, level) {
  if (budget < 0) return;
  text = rename(toWellFormed(text));
  let at = 0;
  while (at < text.length) {
    const part = encodePart(text, at, budget);
    if (part.read === 0) break;
    at += part.read;
    budget -= part.written;
  }
  if (at < text.length) {
    text = slice(text, 0, at);
    if (at > 0 && charCodeAt(text, at - 1) !== 0x0a) text += "\n";
    text += "… output cut after " + outputBytes + " bytes\n";
    budget = -1;
  }
  if (text !== "") {
    const told = level === 0 ? ',"level":"debug"' : level === 2 ? ',"level":"warn"' : "";
    notify("output", '{"stream":' + (level > 1 ? '"stderr"' : '"stdout"') + ',"text":' + stringify(text) + told + "}");
  }
}

const console = new ConsoleC(print);
console.clear = () => {}; // It would print control codes of a terminal.
defineProperty(G, "console", { value: console, configurable: true, writable: true });

let unhandled = 0;
/** @param {(event: Event) => unknown} reason */
const survive = (reason) => (/** @type {Event} */ event) => {
  preventDefault(event); // Deno ends the process otherwise.
  if (++unhandled <= MAX_UNHANDLED) notify("unhandled", errorJSON(reason(event), ""));
};
listen(G, "unhandledrejection", survive(rejectionReason));
listen(G, "error", survive(eventError));

// ── What the program displays ───────────────────────────────────────────────────────────────────────────────────

/** Bytes the program may display, and what is left of them. */
let displayBytes = 0, displayBudget = 0;
/** Bytes a display counts for beyond its content: each is a message, and an output of the cell. */
const DISPLAY_COST = 256;

const $display = Symbol.for("Jupyter.display");
/** The MIME type of a value that is shown as the program's own value would be. */
const VALUE_TYPE = "application/vnd.pctx.value+json";
const VEGA = /^https:\/\/vega\.github\.io\/schema\/(vega|vega-lite)\/v(\d)/;

/** What our tagged templates have made, as text: so that one can stand in another. */
const texts = new WeakMap();

/** @param {any} bundle */
const displayable = (bundle) =>
  defineProperty({}, $display, /** @type {any} */ ({ __proto__: null, value: () => bundle }));

/** @param {unknown} value @returns {string} */
function inserted(value) {
  if (value === undefined || value === null) return "";
  if (typeof value === "object") {
    const text = weakGet(texts, value);
    if (text !== undefined) return text;
    if (isArray(value)) {
      let all = "";
      for (let i = 0; i < value.length; i++) all += inserted(value[i]);
      return all;
    }
  }
  return "" + value;
}

/** @param {string} type @returns {(strings: readonly string[], ...values: unknown[]) => object} */
const template = (type) => (strings, ...values) => {
  let text = "";
  for (let i = 0; i < strings.length; i++) text += strings[i] + (i < values.length ? inserted(values[i]) : "");
  const made = displayable({ [type]: text });
  weakSet(texts, made, text);
  return made;
};

/**
 * The MIME type of an image, by its first bytes.
 *
 * @param {any} value
 * @returns {string | undefined} undefined: it is none, or no bytes
 */
function imageType(value) {
  let start = "";
  try {
    // Throws for what is no typed array, or is one of larger numbers.
    if (arrayLength(value) < 12 || value.BYTES_PER_ELEMENT !== 1) return undefined;
    start = toBase64(new Uint8ArrayC(value.buffer, value.byteOffset, 3));
  } catch {
    return undefined;
  }
  return imageTypeOf(start);
}

/** @param {string} data its base64 text, or the beginning of that */
function imageTypeOf(data) {
  const known = { iVBO: "image/png", "/9j/": "image/jpeg", R0lG: "image/gif", UklG: "image/webp" };
  const start = slice(data, 0, 4);
  return hasOwn(known, start) ? /** @type {any} */ (known)[start] : undefined;
}

const DATA_URL = /^data:(image\/[a-z+]+);base64,/;

/** @param {any} data */
function image(data) {
  if (data instanceof ArrayBufferC) data = new Uint8ArrayC(data);
  const type = imageType(data);
  if (type !== undefined) return displayable({ [type]: toBase64(data) });
  if (typeof data === "string") {
    const head = regExpExec(DATA_URL, data);
    if (head !== null) return displayable({ [head[1]]: slice(data, head[0].length) });
    const known = imageTypeOf(data);
    if (known !== undefined) return displayable({ [known]: data });
  }
  throw new TypeErrorC(
    "Cannot show image: it must be the bytes of a PNG, JPEG, GIF or WebP, their base64 text, or a data: URL",
  );
}

/**
 * What something looks like, if it has a look of its own: it says so by a method, or is a chart, a picture, an element.
 *
 * @param {any} value
 * @returns {any} a bundle, or a promise of one; undefined: it has none
 */
function lookOf(value) {
  if (typeof value !== "object" || value === null) return undefined;
  if (typeof value[$display] === "function") return uncurry(value[$display])(value);
  const type = imageType(value);
  if (type !== undefined) return { [type]: toBase64(value) };
  const spec = typeof value.toSpec === "function" ? uncurry(value.toSpec)(value) : value;
  if (typeof spec === "object" && spec !== null && typeof spec.$schema === "string") {
    const found = regExpExec(VEGA, spec.$schema);
    if (found !== null) {
      return { ["application/vnd." + (found[1] === "vega" ? "vega" : "vegalite") + ".v" + found[2] + "+json"]: spec };
    }
  }
  // A row of data may have such a property; an element is of a class of its own.
  if (typeof value.outerHTML === "string" && getPrototypeOf(value) !== ObjectPrototype) {
    const html = value.outerHTML;
    return { [indexOf(html, "<svg") === 0 ? "image/svg+xml" : "text/html"]: html };
  }
  return undefined;
}

/** @param {any} value any at all */
function plainLook(value) {
  const text = inspect(value, { depth: 4 });
  return typeof value === "object" && value !== null
    ? { "text/plain": text, [VALUE_TYPE]: value }
    : { "text/plain": text };
}

/** @param {any} made @param {string} name */
const isThenable = (made, name = "then") =>
  typeof made === "object" && made !== null && typeof made[name] === "function";

/** @param {unknown} value */
async function format(value) {
  const look = lookOf(value);
  return (isThenable(look) ? await look : look) ?? plainLook(value);
}

/**
 * Send one display.
 *
 * @param {any} bundle content by MIME type
 * @param {string} more further members, as JSON
 * @param {boolean} isValue whether nothing is lost when it is too large
 */
function show(bundle, more, isValue = false) {
  if (typeof bundle !== "object" || bundle === null || isArray(bundle)) {
    throw new TypeErrorC("Cannot display: what is shown must be an object with MIME types as its keys");
  }
  let data = "";
  const types = keys(bundle);
  for (let i = 0; i < types.length; i++) {
    const type = types[i], content = bundle[type];
    if (content === undefined) continue;
    try {
      const written = encode(imageType(content) === undefined ? content : toBase64(content), type, type === VALUE_TYPE);
      data += (data === "" ? "" : ",") + stringify(toWellFormed(type)) + ":" + written;
    } catch (error) {
      if (type !== VALUE_TYPE) throw error; // A cycle, for instance: then it is shown as text.
    }
  }
  const params = '{"data":{' + data + "}" + more + "}";
  let bytes = DISPLAY_COST;
  for (let at = 0; at < params.length;) {
    const part = encodePart(params, at, CHUNK);
    at += part.read;
    bytes += part.written;
  }
  if (bytes > displayBudget) {
    if (isValue) return;
    throw new RangeErrorC(
      "Cannot display: a program may show " + displayBytes + " bytes in all (Pctx.max_display_bytes); show less",
    );
  }
  displayBudget -= bytes;
  notify("display", params);
}

/** @param {any} id @param {any} update */
const named = (id, update) =>
  (id === undefined || id === null ? "" : ',"display_id":' + stringify(toWellFormed("" + id))) +
  (update ? ',"update":true' : "");

/**
 * Show something in the cell, at once unless its look is promised.
 *
 * @param {any} value
 * @param {{raw?: boolean, display_id?: string, update?: boolean}} [options] `raw`: it is a bundle already
 */
async function display(value, options) {
  const look = options?.raw ? value : lookOf(value) ?? plainLook(value);
  const more = named(options?.display_id, options?.update);
  show(isThenable(look) ? await look : look, more);
}

/** @param {string} type @param {any} content of that message @param {any} [extra] */
async function broadcast(type, content, extra) {
  if (type !== "display_data" && type !== "update_display_data") {
    throw new TypeErrorC("Cannot broadcast " + type + ": a program can send display_data and update_display_data");
  }
  const metadata = content.metadata ?? extra?.metadata;
  const more = metadata === undefined ? "" : ',"metadata":' + encode(metadata, "metadata", false);
  const data = isThenable(content.data) ? await content.data : content.data;
  show(data, more + named(content.transient?.display_id, type !== "display_data"));
}

/** @param {any} value the program's */
async function displayValue(value) {
  const look = lookOf(value);
  if (look === undefined || look === null) return;
  show(isThenable(look) ? await look : look, ',"is_value":true', true);
}

/** As in Deno's own kernel; nothing else of `Deno` is left. Without prototypes, so that nothing can be put into it. */
const jupyter = freeze({
  __proto__: null,
  $display,
  broadcast,
  display,
  format,
  html: template("text/html"),
  image,
  md: template("text/markdown"),
  svg: template("image/svg+xml"),
});

// ── Globals ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** What a program keeps; everything else goes, `process` and almost all of `Deno` first of all. */
const ALLOWED = new Set(
  `AbortController AbortSignal AggregateError Array ArrayBuffer AsyncDisposableStack Atomics BigInt BigInt64Array
  BigUint64Array Blob Boolean Crypto CryptoKey CustomEvent DOMException DataView Date DisposableStack Error EvalError
  Event EventTarget FinalizationRegistry Float16Array Float32Array Float64Array Function Infinity Int16Array Int32Array
  Int8Array Intl Iterator JSON Map Math NaN Number Object Performance Promise Proxy RangeError ReferenceError Reflect
  RegExp Set String SubtleCrypto SuppressedError Symbol SyntaxError Temporal TextDecoder TextEncoder TypeError URIError
  URL URLPattern URLSearchParams Uint16Array Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakRef WeakSet atob btoa
  clearInterval clearTimeout console crypto decodeURI decodeURIComponent encodeURI encodeURIComponent escape eval
  globalThis isFinite isNaN parseFloat parseInt performance queueMicrotask self setInterval setTimeout structuredClone
  undefined unescape`.split(/\s+/),
);
const left = [];
// Symbols stay: one of them is the brand that Deno's own objects look for.
for (const name of ownKeys(G)) {
  if (typeof name !== "string" || ALLOWED.has(name)) continue;
  try {
    delete G[name];
  } catch { /* Reported below. */ }
  if (name in G) left.push(name);
}
// Fixed: some of Deno's own modules can be imported by name, and what they offer (a Worker, for one) needs more of a
// global of that name, which a program could otherwise make up.
defineProperty(G, "Deno", {
  value: freeze({ __proto__: null, jupyter }),
  enumerable: false,
  configurable: false,
  writable: false,
});

/** @param {string} name of a global, or of a member of `Intl` @param {any} value */
function refuseKind(name, value) {
  const wayOut = WAYS_OUT[name] ?? "give what you need of it";
  if (typeof value === "function" && typeof value.prototype === "object") {
    if (hasOwn(value.prototype, "toJSON") || value.prototype instanceof ErrorC || value === ErrorC) return;
    if (getPrototypeOf(value) !== TypedArray) refuseAll(value.prototype, name, wayOut);
  } else if (typeof value === "object" && value !== null && hasOwn(value, $toStringTag) && value !== G) {
    refuseAll(value, name + " object", wayOut);
  }
}

// Objects of the platform would be written as records of nothing, or of next to nothing.
for (const [space, owner] of [["", G], ["Intl.", Intl]]) {
  for (const name of ownKeys(/** @type {any} */ (owner))) {
    if (typeof name !== "string" || PLAIN.has(name)) continue;
    const described = /** @type {PropertyDescriptor} */ (getOwnPropertyDescriptor(owner, name));
    if (described.get === undefined) {
      refuseKind(space + name, described.value);
      continue;
    }
    // It is loaded when it is first looked up, which takes milliseconds.
    const load = uncurry(described.get);
    let isKnown = false;
    described.get = () => {
      const value = load(owner);
      if (!isKnown) {
        isKnown = true;
        refuseKind(space + name, value);
      }
      return value;
    };
    defineProperty(owner, name, described);
  }
}
refuseAll(/** @type {any} */ (Temporal).Now, "Temporal.Now", "give what you need of it");

// ── Lines in ────────────────────────────────────────────────────────────────────────────────────────────────────

let started = false;

/** @param {string} line */
function receive(line) {
  const message = parse(line);
  if (hasOwn(message, "method")) {
    // Anything else is of a later version, and not for us.
    if (message.method === "run" && !started) {
      started = true;
      run(message.id, message.params, line);
    }
  } else if (hasOwn(message, "id")) settle(message, line);
}

/**
 * Read lines until the host is gone. A line is searched once and moved once for each doubling, however long it is.
 *
 * A program that makes one call and then waits is waited for at a standstill: that saves Deno's way through its event
 * loop and a thread of its own, a quarter of the time a short call takes. The host ends it soon, by the answer or by
 * `later`.
 */
async function serve() {
  let room = CHUNK, buffer = new ArrayBufferC(room), begin = 0, end = 0, standstills = 0;
  for (;;) {
    // `await` of what is no promise lets the program go on, and asks nothing that it may have changed.
    const before = lastSent;
    if (before > 0) { for (let i = 0; i < STEPS && lastSent === before; i++) await undefined; }
    standstills = lastSent !== before && mapSize(pending) === 1 && standstills < MAX_STANDSTILLS ? standstills + 1 : 0;
    if (end === room) {
      const rest = new Uint8ArrayC(buffer, begin, end - begin);
      if (end - begin > room >> 1) room *= 2;
      buffer = new ArrayBufferC(room);
      copyInto(new Uint8ArrayC(buffer), rest);
      end -= begin;
      begin = 0;
    }
    // No more than a pipe gives: Deno's `read` takes time for all the room it is offered.
    const place = new Uint8ArrayC(buffer, end, room - end < CHUNK ? room - end : CHUNK);
    let count;
    if (standstills > 0) count = readSync(place);
    else {
      const reading = read(place);
      // `await` asks a promise for its constructor, and the program may have changed what it inherits.
      set(reading, "constructor", PromiseC);
      count = await reading;
    }
    if (count === null) exit(0);
    const bytes = new Uint8ArrayC(buffer, 0, end + count);
    for (let i = findByte(bytes, 0x0a, end); i >= 0; i = findByte(bytes, 0x0a, begin)) {
      receive(decode(decoder, new Uint8ArrayC(buffer, begin, i - begin)));
      begin = i + 1;
    }
    end += count;
    if (begin === end) begin = end = 0;
  }
}

/**
 * Do once what every program needs done: Deno's reader of TypeScript, the way to a module and the functions here are
 * loaded and compiled when first used, and that would be in the program's way. Nothing of a program is there yet:
 * reading begins when this is done.
 */
async function rehearse() {
  await import(createObjectURL(new BlobC(["export const n: number = await 1;"], { type: "application/typescript" })));
  encode(parse(decode(decoder, new Uint8ArrayC([0x5b, 0x5d]))), "");
  await finish(undefined, {}, 0);
}
await rehearse();
notify("ready", '{"left":' + stringify(left) + "}");
// Reading fails when a program has broken what Deno itself is made of; a silent end is better than a long silence.
serve().then(undefined, () => exit(70));
