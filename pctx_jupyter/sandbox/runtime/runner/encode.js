// @ts-check
/**
 * Values to JSON: one function, for results, arguments and displays, and an error that names the path of a value
 * that has no JSON form.
 */

import {
  $asyncIterator,
  $iterator,
  $toStringTag,
  charCodeAt,
  create,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  hasOwn,
  indexOf,
  isArray,
  isPromise,
  keys,
  ObjectPrototype,
  parse,
  RegExpC,
  regExpExec,
  set,
  slice,
  stringify,
  toWellFormed,
  TypeErrorC,
  uncurry,
  weakGet,
} from "./captured.js";
import { headline } from "./errors.js";
import { encoding, REFUSED, taught } from "./forms.js";
import { isTooDeep, MAX_DEPTH } from "./depth.js";
import { MARK, rewritten } from "./numbers.js";

/** Values `explain` looks at before it gives up. */
const MAX_VISITS = 1_000_000;
/**
 * What can follow a dot. Made when a path is first written: the tables of Unicode that it needs take 0.4 ms to load.
 *
 * @type {RegExp | undefined}
 */
let identifier;

/**
 * The first function or symbol that `encode` has left out of the value that it wrote last, with its path and what to
 * write instead: `value.mean is a function, which …`.
 *
 * @type {string | undefined}
 */
export let leftOut;

/**
 * Write a value as JSON that strict readers accept.
 *
 * @param {unknown} value
 * @param {string} root what to call the value in an error: `result`
 * @param {boolean} [marks] whether the reader knows of marked payloads
 * @returns {string} JSON in one line, well-formed Unicode, not nested too deeply
 * @throws {TypeError} naming the path of what cannot be written
 */
export function encode(value, root, marks = true) {
  let text, fault, marked = false;
  leftOut = encoding.refusal = undefined;
  encoding.metFunction = false;
  encoding.isOn = true;
  try {
    text = stringify(value);
    // Objects that have no JSON form, and whose kind is not known, are written like this.
    const hasEmpty = text === undefined ? value !== undefined : indexOf(text, "{}") >= 0;
    if (hasEmpty || encoding.metFunction) fault = search(value, root);
    if (marks && text !== undefined && fault === undefined) ({ text, isMarked: marked } = rewritten(value, text));
  } catch (error) {
    fault = explain(value, root, error);
  } finally {
    encoding.isOn = false;
  }
  if (fault !== undefined) throw fault;
  if (text === undefined) return "null";
  if (isTooDeep(text)) throw new TypeErrorC(root + " is nested deeper than " + MAX_DEPTH + " levels");
  if (indexOf(text, "\\ud") >= 0 || indexOf(text, "\\uD") >= 0) {
    fault = keysThatMeet(parse(text), root);
    if (fault !== undefined) throw fault;
    text = replaceLone(text);
  }
  return marked ? MARK + text + "}" : text;
}

/**
 * Replace the escapes of surrogates, which `JSON.stringify` writes for lone surrogates only.
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

/**
 * Find two keys of one object that are the same when lone surrogates are replaced.
 *
 * @param {any} value parsed
 * @param {string} path
 * @returns {TypeError | undefined}
 */
function keysThatMeet(value, path) {
  if (typeof value !== "object" || value === null) return undefined;
  const isList = isArray(value), names = keys(value), found = create(null);
  for (let i = 0; i < names.length; i++) {
    const name = toWellFormed(names[i]);
    if (hasOwn(found, name)) return new TypeErrorC(path + " has two keys that JSON cannot tell apart: rename one");
    found[name] = true;
    const inside = keysThatMeet(value[names[i]], path + (isList ? "[" + i + "]" : property(name)));
    if (inside !== undefined) return inside;
  }
  return undefined;
}

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
  if (error === REFUSED) return new TypeErrorC(root + " holds a value that " + encoding.refusal?.why);
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
 * Whether a value is a function or a symbol that says nothing of its own JSON form.
 *
 * @param {any} value
 */
const isNoData = (value) =>
  typeof value === "symbol" || typeof value === "function" && weakGet(taught, value.toJSON) === true;

/** What goes on after the path of such a value. @param {any} value */
function notData(value) {
  if (typeof value === "symbol") return "is a symbol, which has no JSON form: give its description";
  return getOwnPropertyDescriptor(value, "prototype")?.writable === false
    ? "is a class, which has no JSON form: give an instance of it"
    : "is a function, which has no JSON form: give what it returns";
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
    const { why, cause } = /** @type {{why: string, cause: unknown}} */ (encoding.refusal);
    const isItem = charCodeAt(path, path.length - 1) === 0x5d && charCodeAt(path, path.length - 2) !== 0x22;
    const isListed = isItem && why === "is a promise: await it";
    return fault(path + " " + (isListed ? "is a promise: await the list with await Promise.all(\u2026)" : why), cause);
  };
  /** @param {any} value @param {string} path @param {any} above @param {number} depth @returns {TypeError | undefined} */
  const walk = (value, path, above, depth) => {
    if (++visits > MAX_VISITS) return undefined;
    // Before its `toJSON`: a Map in itself becomes a new object each time.
    for (let up = above; up !== undefined; up = up.above) {
      if (up.value === value) return fault(path + " is a cycle");
    }
    const here = typeof value === "object" && value !== null ? { value, above } : above;
    if (encoding.refusal !== undefined && encoding.refusal.self === value) return refused(path);
    if (typeof value === "object" && value !== null || typeof value === "function" || typeof value === "bigint") {
      let toJSON;
      try {
        toJSON = value.toJSON;
      } catch (error) {
        return fault(path + ".toJSON could not be read: " + headline(error), error);
      }
      if (typeof toJSON === "function" && !(typeof value === "function" && weakGet(taught, toJSON) === true)) {
        try {
          value = uncurry(toJSON)(value, "");
        } catch (error) {
          if (error === REFUSED) return refused(path);
          return fault(path + ".toJSON() failed: " + headline(error), error);
        }
      }
    }
    if (typeof value === "bigint") return fault(path + " is a BigInt");
    if (isNoData(value)) return fault(path + " " + notData(value));
    if (typeof value !== "object" || value === null) return undefined;
    if (depth > MAX_DEPTH) return fault(root + " is nested deeper than " + MAX_DEPTH + " levels");
    let isList = false, isPlain = false, names, length = 0, without;
    try {
      const above = getPrototypeOf(value);
      isPlain = above === ObjectPrototype || above === null; // The functions of other objects are their methods.
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
        if (!isList && isNoData(item)) {
          if (isPlain && name !== "toSpec") without ??= at + " " + notData(item); // That one makes a chart.
          continue;
        }
      } catch (error) {
        return fault(at + " could not be read: " + headline(error), error);
      }
      const found = walk(item, at, here, depth + 1);
      if (found !== undefined) return found;
      if (item !== undefined && typeof item !== "function" && typeof item !== "symbol") isEmpty = false;
    }
    if (!isEmpty || visits > MAX_VISITS) {
      leftOut ??= without;
      return undefined;
    }
    try {
      const why = notARecord(value);
      if (why !== undefined) return fault(path + " " + why);
      return without === undefined ? undefined : fault(without);
    } catch (error) {
      return fault(path + " could not be read: " + headline(error), error);
    }
  };
  return walk(value, root, undefined, 1);
}

/** @param {string} name */
export function property(name) {
  identifier ??= new RegExpC("^[\\p{ID_Start}$_][\\p{ID_Continue}$_]*$", "u");
  return regExpExec(identifier, name) !== null ? "." + name : "[" + stringify(toWellFormed(name)) + "]";
}
