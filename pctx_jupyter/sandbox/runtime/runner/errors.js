// @ts-check
/**
 * What was thrown, as text: names, messages, stacks and causes, without paths of the host.
 *
 * It does not know who reads the text, nor why the error was thrown.
 */

import {
  defineProperty,
  errorToString,
  hasOwn,
  indexOf,
  inspect,
  isArray,
  slice,
  stringify,
  toWellFormed,
  weakGet,
} from "./captured.js";

/** UTF-16 units of an error's name, message and stack that leave the sandbox. */
const MAX_TEXT = 8000;
/** UTF-16 units in each half of a text that was cut which the mark between the halves may take. */
const CUT_MARK = 20;
/** Causes of an error that its message lists, and errors of an AggregateError. */
const MAX_CAUSES = 5;

/** The modules that this sandbox has imported, the latest first. @type {{url: string, name: string, above: any} | undefined} */
let modules;

/** Show a module's URL as this name in every text that leaves the sandbox. @param {string} url @param {string} name */
export function nameModule(url, name) {
  modules = { url, name, above: modules };
}

/** @param {string} text */
export function rename(text) {
  for (let module = modules; module !== undefined; module = module.above) {
    text = replaceAll(text, module.url, module.name);
  }
  return text;
}

/** @param {string} text @param {string} url @param {string} name */
function replaceAll(text, url, name) {
  let done = "", from = 0;
  for (let i; (i = indexOf(text, url, from)) >= 0; from = i + url.length) done += slice(text, from, i) + name;
  return from === 0 ? text : done + slice(text, from);
}

/**
 * Cut a text in the middle: the last line of a traceback says what went wrong. A text that was cut is not cut again.
 *
 * @param {string} text
 */
function shortened(text) {
  if (text.length <= MAX_TEXT) return text;
  const half = MAX_TEXT / 2 - CUT_MARK, gone = text.length - 2 * half;
  return slice(text, 0, half) + "\n\u2026 " + gone + " characters left out \u2026\n" + slice(text, half + gone);
}

/** @param {string} text */
const tidy = (text) => rename(toWellFormed(shortened(text)));

/**
 * Write `error.stack` without the frames of the runner and of Deno, which would show paths of the host.
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
 * Read a property of a value that may do anything when it is read.
 *
 * @param {any} value
 * @param {string} name
 * @returns {string | undefined} undefined when it is no text, or cannot be read
 */
export function textOf(value, name) {
  try {
    const text = value[name];
    return typeof text === "string" ? tidy(text) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Describe a thrown value, which may be of any kind, as text.
 *
 * @param {unknown} thrown
 * @returns {{name: string, message: string, stack: string}}
 */
export function describe(thrown) {
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
export function headline(thrown) {
  const { name, message } = describe(thrown);
  return name + ": " + message;
}

/**
 * The message of an error, with the messages of its causes.
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

/** Tokens of failed tool calls, by their Errors. A token lets the host find what really happened. */
export const tokens = new WeakMap();

/**
 * Find the token of the failed tool call that caused an error.
 *
 * @param {any} error
 * @returns {string | undefined}
 */
export function tokenOf(error) {
  try {
    for (let i = 0; i < 16 && typeof error === "object" && error !== null; i++, error = error.cause) {
      const token = weakGet(tokens, error);
      if (token !== undefined) return token;
    }
  } catch { /* A throwing `cause` has no token. */ }
  return undefined;
}

/** @param {unknown} thrown @param {string} more further members, as JSON */
export function errorJSON(thrown, more) {
  const { name, stack } = describe(thrown), message = messageWithCauses(thrown);
  return '{"name":' + stringify(name) + ',"message":' + stringify(message) + ',"stack":' + stringify(stack) + more +
    "}";
}
