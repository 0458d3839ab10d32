// @ts-check
/**
 * The built-in functions that the runner uses, captured while no program has run.
 *
 * A program may replace every built-in function and every prototype. So whatever the runner uses after the program was
 * imported is taken from here, with its methods uncurried. After that there is no method call on a value, no `for...of`
 * and no spread in the runner. Messages are built from strings, so that a `toJSON` can change only its own value.
 */

export const G = /** @type {any} */ (globalThis);
const D = /** @type {any} */ (Deno);
export const uncurry = /** @type {(method: any) => (self: any, ...args: any[]) => any} */ (
  Function.prototype.bind.bind(Function.prototype.call)
);
/** @param {object} prototype @param {string} name */
const getter = (prototype, name) => uncurry(Object.getOwnPropertyDescriptor(prototype, name)?.get);

export const { stringify, parse } = JSON;
export const { rawJSON, isRawJSON } = /** @type {any} */ (JSON);
export const { create, defineProperty, freeze, getOwnPropertyDescriptor, getPrototypeOf, hasOwn, keys } = Object;
export const { apply, ownKeys } = Reflect;
export const { isArray } = Array;
export const { isInteger, isSafeInteger } = Number;
export const [
  ArrayC,
  ArrayBufferC,
  BigInt64ArrayC,
  BigIntC,
  BlobC,
  ErrorC,
  Float64ArrayC,
  Int8ArrayC,
  NumberC,
  PromiseC,
  ProxyC,
  RangeErrorC,
  RegExpC,
  TypeErrorC,
  Uint16ArrayC,
  Uint8ArrayC,
] = [
  Array,
  ArrayBuffer,
  BigInt64Array,
  BigInt,
  Blob,
  Error,
  Float64Array,
  Int8Array,
  Number,
  Promise,
  Proxy,
  RangeError,
  RegExp,
  TypeError,
  Uint16Array,
  Uint8Array,
];
export const TypedArray = getPrototypeOf(Uint8Array);
export const createObjectURL = URL.createObjectURL;

export const charCodeAt = uncurry(String.prototype.charCodeAt);
export const indexOf = uncurry(String.prototype.indexOf);
export const lastIndexOf = uncurry(String.prototype.lastIndexOf);
export const slice = uncurry(String.prototype.slice);
export const toWellFormed = uncurry(/** @type {any} */ (String.prototype).toWellFormed);
export const regExpExec = uncurry(RegExp.prototype.exec);
export const regExpToString = uncurry(RegExp.prototype.toString);
export const errorToString = uncurry(Error.prototype.toString);
export const dateToJSON = Date.prototype.toJSON;
export const toISOString = uncurry(Date.prototype.toISOString);
export const numberValue = uncurry(Number.prototype.valueOf);
export const stringValue = uncurry(String.prototype.valueOf);
export const bigIntValue = uncurry(BigInt.prototype.valueOf);
export const bigIntText = uncurry(BigInt.prototype.toString);
export const mapSize = getter(Map.prototype, "size");
export const mapEach = uncurry(Map.prototype.forEach);
export const mapGet = uncurry(Map.prototype.get);
export const mapSet = uncurry(Map.prototype.set);
export const mapDelete = uncurry(Map.prototype.delete);
export const setSize = getter(Set.prototype, "size");
export const setEach = uncurry(Set.prototype.forEach);
export const weakGet = uncurry(WeakMap.prototype.get);
export const weakSet = uncurry(WeakMap.prototype.set);
export const arrayLength = getter(TypedArray.prototype, "length");
export const bufferLength = getter(ArrayBuffer.prototype, "byteLength");
export const viewBuffer = getter(DataView.prototype, "buffer");
export const viewOffset = getter(DataView.prototype, "byteOffset");
export const viewLength = getter(DataView.prototype, "byteLength");
export const searchEach = uncurry(URLSearchParams.prototype.forEach);
export const findByte = uncurry(Uint8Array.prototype.indexOf);
export const copyInto = uncurry(Uint8Array.prototype.set);
export const { fromBase64 } = /** @type {any} */ (Uint8Array);
export const toBase64 = uncurry(/** @type {any} */ (Uint8Array.prototype).toBase64);
export const encodeInto = uncurry(TextEncoder.prototype.encodeInto);
export const decode = uncurry(TextDecoder.prototype.decode);
export const listen = uncurry(EventTarget.prototype.addEventListener);
export const preventDefault = uncurry(Event.prototype.preventDefault);
export const rejectionReason = getter(PromiseRejectionEvent.prototype, "reason");
export const eventError = getter(ErrorEvent.prototype, "error");

export const [$iterator, $asyncIterator, $toStringTag] = [Symbol.iterator, Symbol.asyncIterator, Symbol.toStringTag];
/**
 * Capture one of Deno's functions without looking it up before its first call: Deno then loads a module, which takes
 * milliseconds.
 *
 * @param {string} name
 */
function lazy(name) {
  const load = uncurry(/** @type {any} */ (getOwnPropertyDescriptor(G, name)?.get ?? (() => G[name])));
  /** @type {any} */
  let found;
  return (/** @type {any} */ first, /** @type {any} */ second = undefined) => (found ??= load(G))(first, second);
}
export const setTimeout = lazy("setTimeout");
export const clearTimeout = lazy("clearTimeout");
export const setInterval = lazy("setInterval");
export const clearInterval = lazy("clearInterval");
export const now = performance.now.bind(performance);
export const isPromise = D[D.internal].core.isPromise;
export const read = D.stdin.read.bind(D.stdin);
export const readSync = D.stdin.readSync.bind(D.stdin);
export const write = D.stdout.writeSync.bind(D.stdout);
export const exit = D.exit.bind(D);
export const inspect = D.inspect;
export const ConsoleC = D[D.internal].Console;
export const encoder = new TextEncoder();
export const decoder = new TextDecoder();
export const ObjectPrototype = Object.prototype;

/** @param {object} target @param {string} name @param {unknown} value */
export const set = (target, name, value) =>
  // Without a prototype: a program may have given all objects a `get`, which would make this an accessor.
  defineProperty(target, name, /** @type {any} */ ({ __proto__: null, value, configurable: true, writable: true }));
