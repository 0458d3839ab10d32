// @ts-check
/**
 * The lines that leave the sandbox: how a message becomes UTF-8 and is written. It does not know what a message says.
 */

import { ArrayBufferC, charCodeAt, encodeInto, encoder, slice, Uint16ArrayC, Uint8ArrayC, write } from "./captured.js";

/** Bytes that are written at once: as many as a pipe holds. */
export const CHUNK = 1 << 16;

const outBuffer = new ArrayBufferC(CHUNK);
export const outBytes = new Uint8ArrayC(outBuffer);
export const outPairs = new Uint16ArrayC(outBuffer);

/**
 * Encode the next part of a well-formed text into the out buffer.
 *
 * @param {string} text
 * @param {number} at where the part begins, in UTF-16 units
 * @param {number} room bytes the part may take
 * @returns {{read: number, written: number}} units taken from the text and bytes written; never half a character
 */
export function encodePart(text, at, room) {
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
export function send(message) {
  const text = message + "\n";
  for (let at = 0; at < text.length;) {
    const part = encodePart(text, at, CHUNK);
    for (let i = 0; i < part.written;) i += write(new Uint8ArrayC(outBuffer, i, part.written - i));
    at += part.read;
  }
}

/** @param {string} method @param {string} params JSON */
export const notify = (method, params) => send('{"jsonrpc":"2.0","method":"' + method + '","params":' + params + "}");
