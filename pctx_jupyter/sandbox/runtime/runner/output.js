// @ts-check
/**
 * What the program prints, and the errors that it does not catch: sent as notifications, up to a limit.
 */

import {
  charCodeAt,
  ConsoleC,
  defineProperty,
  eventError,
  G,
  listen,
  preventDefault,
  rejectionReason,
  slice,
  stringify,
  toWellFormed,
} from "./captured.js";
import { encodePart, notify } from "./lines.js";
import { errorJSON, rename } from "./errors.js";

/** Notifications of unhandled rejections a run: each is a line, and a loop makes many. */
const MAX_UNHANDLED = 100;

/** Bytes the program may print, and what is left of them. */
let outputBytes = 0, budget = 0;

/** @param {number} bytes of UTF-8 that the program may print */
export const limitOutput = (bytes) => {
  budget = outputBytes = bytes;
};

/** @param {string} text ends with a line break @param {number} level 0 debug, 1 log and info, above: to stderr */
export function print(text, level) {
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
    text += "\u2026 output cut after " + outputBytes + " bytes (max_output_bytes)\n";
    budget = -1;
  }
  if (text !== "") {
    const severity = level === 0 ? ',"level":"debug"' : level === 2 ? ',"level":"warn"' : "";
    notify(
      "output",
      '{"stream":' + (level > 1 ? '"stderr"' : '"stdout"') + ',"text":' + stringify(text) + severity + "}",
    );
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
