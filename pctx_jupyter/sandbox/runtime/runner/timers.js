// @ts-check
/**
 * The timers of the program, counted, so that the end of the run can wait for them.
 */

import {
  apply,
  clearInterval,
  clearTimeout,
  defineProperty,
  G,
  mapDelete,
  mapSet,
  now,
  NumberC,
  setInterval,
  setTimeout,
} from "./captured.js";

/** Timers that have not run yet, by id. @type {Map<number, {due: number, isRepeated: boolean}>} */
export const timers = new Map();

/** Ends the wait of `finish`, which then checks again what is left. */
let wake = () => {};

/** @param {() => void} listener called when a timer has run or a call was answered */
export const onProgress = (listener) => {
  wake = listener;
};

/** Report that a call was answered. */
export const progressed = () => wake();

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
