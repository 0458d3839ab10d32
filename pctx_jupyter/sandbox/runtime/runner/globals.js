// @ts-check
/**
 * The globals that a program keeps. All others are removed, and objects of the platform have no JSON form.
 */

import {
  $toStringTag,
  defineProperty,
  ErrorC,
  freeze,
  G,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  hasOwn,
  ownKeys,
  TypedArray,
  uncurry,
} from "./captured.js";
import { refuseAll } from "./forms.js";
import { jupyter } from "./display.js";

/** What to give in place of an object of the platform. @type {Record<string, string>} */
const WAYS_OUT = {
  Blob: "give await blob.text(), or await blob.bytes()",
  CryptoKey: "give what crypto.subtle.exportKey makes of it",
  FinalizationRegistry: "it only calls back",
  WeakMap: "its entries cannot be listed; use a Map",
  WeakRef: "give its deref()",
  WeakSet: "its elements cannot be listed; use a Set",
};
/**
 * Values, or classes of values that have a form of their own; and `Temporal`, whose classes have one. V8 makes it when
 * it is first looked up, which takes 0.3 ms, and what else it holds has no properties, which `encode` refuses.
 */
const PLAIN = new Set(["Array", "Boolean", "Function", "Number", "Object", "Proxy", "String", "Temporal"]);

/** What a program keeps. Everything else is removed, `process` and almost all of `Deno` first of all. */
const ALLOWED = new Set(
  ("AbortController AbortSignal AggregateError Array ArrayBuffer AsyncDisposableStack Atomics BigInt BigInt64Array " +
    "BigUint64Array Blob Boolean Crypto CryptoKey CustomEvent DOMException DataView Date DisposableStack Error " +
    "EvalError Event EventTarget FinalizationRegistry Float16Array Float32Array Float64Array Function Infinity " +
    "Int16Array Int32Array Int8Array Intl Iterator JSON Map Math NaN Number Object Performance Promise Proxy " +
    "RangeError ReferenceError Reflect RegExp Set String SubtleCrypto SuppressedError Symbol SyntaxError Temporal " +
    "TextDecoder TextEncoder TypeError URIError URL URLPattern URLSearchParams Uint16Array Uint32Array Uint8Array " +
    "Uint8ClampedArray WeakMap WeakRef WeakSet atob btoa clearInterval clearTimeout console crypto decodeURI " +
    "decodeURIComponent encodeURI encodeURIComponent escape eval globalThis isFinite isNaN parseFloat parseInt " +
    "performance queueMicrotask self setInterval setTimeout structuredClone undefined unescape").split(" "),
);
/** Names of globals that could not be removed. @type {string[]} */
export const remaining = [];

// Loops are in functions of their own: V8 compiles a function in which a loop runs often, and the script's body is long.
function removeGlobals() {
  // Symbols stay: one of them is the brand that Deno's own objects look for.
  for (const name of ownKeys(G)) {
    if (typeof name !== "string" || ALLOWED.has(name)) continue;
    try {
      delete G[name];
    } catch { /* Reported below. */ }
    if (name in G) remaining.push(name);
  }
}
removeGlobals();
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

/**
 * Refuse objects of the platform, which would be written as records of nothing, or of next to nothing.
 *
 * @param {any} owner whose members are such objects and their classes
 * @param {string} space the path to them
 */
function refuseMembers(owner, space) {
  for (const name of ownKeys(owner)) {
    if (typeof name !== "string" || PLAIN.has(name)) continue;
    const described = /** @type {PropertyDescriptor} */ (getOwnPropertyDescriptor(owner, name));
    if (described.get === undefined) refuseKind(space + name, described.value);
    else refuseLater(owner, name, space, described);
  }
}

/**
 * Refuse an object that Deno loads when it is first looked up, which takes milliseconds: after it was loaded.
 *
 * @param {any} owner @param {string} name @param {string} space @param {PropertyDescriptor} described
 */
function refuseLater(owner, name, space, described) {
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
refuseMembers(G, "");
refuseMembers(Intl, "Intl.");
