// @ts-check
/**
 * The end of a run: waits for what the program has begun and not awaited, and warns of what is cut off.
 */

import {
  clearInterval,
  clearTimeout,
  create,
  keys,
  mapDelete,
  mapEach,
  mapSize,
  now,
  PromiseC,
  set,
  setTimeout,
} from "./captured.js";
import { encode } from "./encode.js";
import { print } from "./output.js";
import { onProgress, timers } from "./timers.js";
import { lastAnswered, pending } from "./calls.js";

/** Milliseconds without an answer after which a program that has its value stops waiting for calls it did not await. */
const LINGER_MS = 10_000;
/** Milliseconds a program that has its value waits for its timers. */
const GRACE_MS = 1_000;
/** The part of its time limit after which a program that has its value stops waiting. */
const PATIENCE = 0.9;
/** Tools that a warning lists. */
const MAX_LISTED = 5;
/** Microtasks that functions which are not awaited may take before they call, or after an answer. */
const MANY_STEPS = 40;

/** The calls that have no answer and were not raced: how many, and their tools. */
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
  return { calls, listed: names.length > MAX_LISTED ? listed + ", \u2026" : listed };
}

/** @param {number} count @param {string} noun */
const counted = (count, noun) => count + " " + noun + (count === 1 ? "" : "s");

/**
 * Wait for what a program has begun and not awaited, as Deno does at its end, but not for what never ends.
 *
 * Most programs leave nothing, so the wait is a function of its own: V8 takes 0.2 ms to compile it.
 *
 * @param {unknown} value of the program: if it has no JSON form, the run fails without waiting
 * @param {any} params
 * @param {number} began
 */
export async function finish(value, params, began) {
  for (let i = 0; i < MANY_STEPS; i++) await undefined;
  if (mapSize(pending) + mapSize(timers) > 0) await waitForRest(value, params, began);
}

/**
 * Wait for calls while the host answers them, and for timers up to `GRACE_MS`. A warning lists what is cut off.
 *
 * @param {unknown} value @param {any} params @param {number} began
 */
export async function waitForRest(value, params, began) {
  let intervals = 0, timeouts = 0, hasWarned = false;
  const linger = params.linger_ms ?? LINGER_MS, grace = now() + GRACE_MS;
  const latest = params.timeout_s === undefined ? Infinity : began + params.timeout_s * 1000 * PATIENCE;
  let due = now() + linger, left = Infinity;
  for (;;) {
    // A function that goes on after an answer may call again.
    for (let i = 0; i < MANY_STEPS; i++) await undefined;
    const { calls, listed } = unanswered();
    if (calls > 0 && !hasWarned) {
      hasWarned = true;
      encode(value, "value");
      print(
        "Warning: " + counted(calls, "tool call") + " not awaited: " + listed + ". The program waits for " +
          (calls === 1 ? "it" : "them") + ", but a value computed before may lack what " +
          (calls === 1 ? "it does" : "they do") +
          ". forEach does not await async functions: use for (const x of xs), " +
          "or await Promise.all(xs.map(async (x) => \u2026))\n",
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
      if (calls + intervals + timeouts > 0) warnOfCut(calls, listed, intervals, timeouts);
      return;
    }
    let id = 0;
    const waiting = new PromiseC((resolve) => {
      onProgress(/** @type {any} */ (resolve));
      id = setTimeout(resolve, until - time);
    });
    set(waiting, "constructor", PromiseC);
    await waiting;
    clearTimeout(id);
  }
}

/** @param {number} calls @param {string} listed @param {number} intervals @param {number} timeouts */
function warnOfCut(calls, listed, intervals, timeouts) {
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
