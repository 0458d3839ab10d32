// @ts-check
/**
 * Tool calls under way: sent as requests, settled by the host's answers. It does not know which tools there are.
 */

import {
  defineProperty,
  ErrorC,
  hasOwn,
  isArray,
  mapDelete,
  mapGet,
  mapSet,
  PromiseC,
  set,
  stringify,
  toWellFormed,
  TypeErrorC,
  uncurry,
  weakGet,
  weakSet,
} from "./captured.js";
import { send } from "./lines.js";
import { textOf, tokens } from "./errors.js";
import { unmarked } from "./numbers.js";
import { encode, leftOut } from "./encode.js";
import { progressed } from "./timers.js";
import { warnOfRoundedBytes, warnOfRounding } from "./rounding.js";
import { arrayOf, askWith, BYTES, framed } from "./frames.js";

/** Calls that the host has not answered yet, by id. */
export const pending = new Map();
/** The same, by the promises that the program has. */
const entries = new WeakMap();
const nativeThen = uncurry(/** @type {any} */ (Promise.prototype).then);
const THEN = {
  __proto__: null,
  value: {
    /** @this {any} @param {any} onAnswer @param {any} onError */
    then(onAnswer, onError) {
      return ofCall(nativeThen(this, onAnswer, onError), weakGet(entries, this));
    },
  }.then,
  configurable: true,
  writable: true,
};
let lastId = 0;
/** The id of the latest call that was sent. A call may fail before it is sent, for example where the stack is full. */
export let lastSent = 0;

/** The id of the latest call that was answered. */
export let lastAnswered = 0;

/** Whether a call sends the stack of its caller, which takes as long as a short call does. */
let places = false;

/** @param {boolean} isOn whether the calls of this run send the stack of their caller */
export const showPlaces = (isOn) => {
  places = isOn;
};

/**
 * Remember that a promise is one of a call, and so are those that its `then`, `catch` and `finally` make.
 *
 * @param {any} promise @param {any} entry
 */
function ofCall(promise, entry) {
  if (entry === undefined) return promise;
  weakSet(entries, promise, entry);
  return defineProperty(promise, "then", /** @type {any} */ (THEN));
}

/**
 * Ask the host to run a tool.
 *
 * @param {string} name canonical path: `Math.add`
 * @param {unknown} args any value; undefined for none
 * @returns {Promise<unknown>} rejected when the call fails, or its arguments cannot be written
 */
export function call(name, args) {
  let params = '{"name":' + stringify(toWellFormed(name));
  if (args !== undefined) {
    try {
      params += ',"arguments":' + encode(args, "arguments");
      if (leftOut !== undefined) throw new TypeErrorC(leftOut);
    } catch (fault) {
      // A new error, since all frames of the caught one are in the runner.
      const { message, cause } = /** @type {TypeError} */ (fault);
      const error = new TypeErrorC("Cannot call " + name + ": " + message);
      if (cause !== undefined) set(error, "cause", cause);
      return new PromiseC((_, reject) => reject(error));
    }
  }
  const id = ++lastId;
  // The Error is made here, so that its stack names the place of the call. Its message is set when the call fails.
  const error = new ErrorC();
  /** @type {any} */
  const entry = { resolve: undefined, reject: undefined, error, name, isSent: false, isRaced: false };
  const answer = new PromiseC((resolve, reject) => {
    entry.resolve = resolve;
    entry.reject = reject;
  });
  mapSet(pending, id, entry);
  ofCall(answer, entry);
  // Of an Error of its own: V8 writes a stack when it is first read, and that of `error` begins with its later message.
  if (places) params += ',"stack":' + stringify(textOf(new ErrorC(), "stack") ?? "");
  send('{"jsonrpc":"2.0","id":' + id + ',"method":"call","params":' + params + "}}");
  lastSent = id;
  entry.isSent = true; // Not reached where the stack is full.
  return answer;
}

/**
 * Set the message, name and data of a failed call's Error. Its `stack` must stay as V8 made it: Deno replaces an Error without
 * frames when it leaves a module, and the token would be lost.
 *
 * @param {Error} error
 * @param {any} reason the error of JSON-RPC
 */
function failed(error, reason) {
  set(error, "message", hasOwn(reason, "message") ? reason.message : "");
  const data = hasOwn(reason, "data") ? reason.data : null;
  if (typeof data !== "object" || data === null) return error;
  if (hasOwn(data, "name") && typeof data.name === "string") set(error, "name", data.name);
  if (hasOwn(data, "data")) set(error, "data", data.data);
  if (hasOwn(data, "token") && typeof data.token === "string") weakSet(tokens, error, data.token);
  return error;
}

/**
 * @param {any} message the answer to a call
 * @param {string} line the message as text
 * @param {ArrayBuffer} [bytes] what follows it
 */
export function settle(message, line, bytes) {
  const call = mapGet(pending, message.id);
  if (call === undefined) return;
  mapDelete(pending, message.id);
  lastAnswered = message.id;
  if (hasOwn(message, "error")) call.reject(failed(call.error, message.error));
  else if (bytes !== undefined) {
    if (hasOwn(message.result, "rounded")) warnOfRoundedBytes(call.name);
    call.resolve(arrayOf(message.result[BYTES], bytes));
  } else {
    const value = unmarked(message.result);
    warnOfRounding(line, value, ["result"], "The result of " + call.name + ": value", "Return it as text: str(\u2026)");
    call.resolve(framed(value, call.name));
  }
  progressed();
}

askWith(call);

// A program that races calls does not wait for those that lose.
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
