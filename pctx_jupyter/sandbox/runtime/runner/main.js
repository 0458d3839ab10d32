// @ts-check
/**
 * The runner of one sandbox: runs one program and speaks JSON-RPC 2.0, one message a line, on stdin and stdout.
 *
 * The runner does not know who serves a tool, how long a program may run or what it may see. The host decides that, and
 * trusts nothing that the sandbox sends.
 *
 *     >  {"method":"ready","params":{"left":[]}}          globals that could not be removed; must be empty
 *     <  {"method":"rehearse"}                            no program waits: load what every program needs
 *     <  {"id":1,"method":"run","params":{code, entry, namespaces, inputs, output_bytes, display_bytes, timeout_s?,
 *                                                      linger_ms?, prelude?, places?, functions?}}  once
 *     >  {"id":7,"method":"call","params":{"name":"Math.add","arguments":{"a":1}}}             and "stack", if `places`
 *     <  {"id":7,"result":3}    or    {"id":7,"error":{"code","message","data":{"name","token"}}}
 *     <  16 {"id":7,"result":{"$pctx.bytes":"float64","size":16}}    and 16 bytes after the line
 *     <  {"method":"later"}                               no answer within a millisecond: the program goes on
 *     >  {"method":"output","params":{"stream":"stdout","text":"...\n","level"?}}
 *     >  {"method":"display","params":{"data":{type: content},"metadata"?,"display_id"?,"update"?,"is_value"?}}
 *     >  {"method":"unhandled","params":{"name","message","stack"}}
 *     >  {"method":"kept","params":{"values":{name: value},"refused":{name: why}}}       if `entry` asks for it
 *     >  {"id":1,"result":...}    or    {"id":1,"error":{"code":-32002,"message","data":{"name","message","stack","token"?,
 *                                                                                        "phase"}}}
 */

import {
  ArrayBufferC,
  arrayLength,
  BlobC,
  copyInto,
  createObjectURL,
  decode,
  decoder,
  exit,
  findByte,
  hasOwn,
  indexOf,
  mapSize,
  now,
  parse,
  PromiseC,
  read,
  readSync,
  set,
  slice,
  stringify,
  Uint8ArrayC,
} from "./captured.js";
import { CHUNK, notify, send } from "./lines.js";
import { errorJSON, headline, nameModule, tokenOf } from "./errors.js";
import { encode, leftOut } from "./encode.js";
import { limitOutput, print } from "./output.js";
import { lastSent, pending, settle, showPlaces } from "./calls.js";
import { install } from "./tools.js";
import { finish, waitForRest } from "./ending.js";
import { displayValue, limitDisplays } from "./display.js";
import { capture, revive } from "./kept.js";
import { remaining } from "./globals.js";
import { shown } from "./frames.js";

/** Code of a program that failed. */
const EXECUTION_FAILED = -32002;
/** Answers in a row for which the process blocks, before timers and unhandled rejections have their turn. */
const MAX_BLOCKED = 16;
/** Bytes that are read at once where many follow a line. */
const BLOCK = 1 << 18;
/** The digit 0. */
const ZERO = 0x30;
/** Microtasks a program may take between an answer and its next call: each `async` function that returns takes some. */
const STEPS = 20;

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
    limitOutput(params.output_bytes);
    limitDisplays(params.display_bytes);
    showPlaces(params.places === true);
    install(params.namespaces, params.inputs, params.functions, line);
    const prelude = params.prelude;
    if (prelude !== undefined) { for (let i = 0; i < prelude.length; i++) await revive(prelude[i]); }
    const url = createObjectURL(new BlobC([params.code], { type: "application/typescript" }));
    nameModule(url, "program.ts");
    const module = await import(url);
    phase = "run";
    const value = await shown(await valueOf(module, params.entry));
    await finish(value, params, began);
    phase = "result";
    const result = encode(value, "value");
    if (leftOut !== undefined) print("Warning: " + leftOut + ". It is left out\n", 2);
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

let started = false;

/**
 * Do once what every program needs, while no program is there: Deno's parser of TypeScript, the import of a module and
 * the functions of the runner are loaded and compiled at their first use. The host asks for it where a sandbox waits for
 * a program. Where a program waits for a sandbox, it would take 1 ms more than it saves.
 */
async function rehearse() {
  await import(createObjectURL(new BlobC(["export const n: number = await 1;"], { type: "application/typescript" })));
  encode(parse(decode(decoder, new Uint8ArrayC([0x5b, 0x5d]))), "");
  await finish(undefined, {}, 0);
  await waitForRest(undefined, {}, 0);
}

/**
 * @param {string} line
 * @param {ArrayBuffer} [bytes] that follow it
 * @returns {Promise<void> | undefined} what the next line waits for
 */
function receive(line, bytes) {
  const message = parse(line);
  if (hasOwn(message, "method")) {
    if (started) return undefined;
    // Other methods are of a later version of the host.
    if (message.method === "rehearse") return rehearse();
    if (message.method === "run") {
      started = true;
      run(message.id, message.params, line);
    }
  } else if (hasOwn(message, "id")) settle(message, line, bytes);
}

/**
 * Read the bytes that follow a line. It blocks the process: the host is writing them.
 *
 * @param {Uint8Array} there those that have been read with the line
 * @param {number} size how many follow
 */
function readBytes(there, size) {
  const buffer = new ArrayBufferC(size);
  copyInto(new Uint8ArrayC(buffer), there);
  for (let at = arrayLength(there); at < size;) {
    const count = readSync(new Uint8ArrayC(buffer, at, size - at < BLOCK ? size - at : BLOCK));
    if (count === null) exit(0);
    at += count;
  }
  return buffer;
}

/**
 * Read lines until the host is gone. Each byte is searched once, and a line is moved once for each doubling of the room.
 *
 * While a program waits for a single call, reading blocks the process. That saves the way through Deno's event loop and
 * one of its threads, a quarter of the time a short call takes. The host ends it soon, by the answer or by `later`.
 */
async function serve() {
  let room = CHUNK, buffer = new ArrayBufferC(room), begin = 0, end = 0, blocked = 0;
  for (;;) {
    // `await undefined` lets the program go on, and uses nothing that it may have changed.
    const before = lastSent;
    if (before > 0) { for (let i = 0; i < STEPS && lastSent === before; i++) await undefined; }
    blocked = lastSent !== before && mapSize(pending) === 1 && blocked < MAX_BLOCKED ? blocked + 1 : 0;
    if (end === room) {
      const rest = new Uint8ArrayC(buffer, begin, end - begin);
      if (end - begin > room >> 1) room *= 2;
      buffer = new ArrayBufferC(room);
      copyInto(new Uint8ArrayC(buffer), rest);
      end -= begin;
      begin = 0;
    }
    // As much as a pipe holds: the time of Deno's `read` grows with the room that it gets.
    const place = new Uint8ArrayC(buffer, end, room - end < CHUNK ? room - end : CHUNK);
    let count;
    if (blocked > 0) count = readSync(place);
    else {
      const reading = read(place);
      // `await` reads the constructor of a promise, and the program may have changed what promises inherit.
      set(reading, "constructor", PromiseC);
      count = await reading;
    }
    if (count === null) exit(0);
    const bytes = new Uint8ArrayC(buffer, 0, end + count);
    for (let i = findByte(bytes, 0x0a, end); i >= 0; i = findByte(bytes, 0x0a, begin)) {
      const line = decode(decoder, new Uint8ArrayC(buffer, begin, i - begin)), mark = bytes[begin];
      begin = i + 1;
      let more;
      if (mark >= ZERO && mark < ZERO + 10) {
        const space = indexOf(line, " "), size = +slice(line, 0, space), here = end + count - begin;
        more = readBytes(new Uint8ArrayC(buffer, begin, here < size ? here : size), size);
        begin += here < size ? here : size;
        receive(slice(line, space + 1), more);
        continue;
      }
      const busy = receive(line);
      if (busy !== undefined) await busy;
    }
    end += count;
    if (begin === end) begin = end = 0;
  }
}

notify("ready", '{"left":' + stringify(remaining) + "}");
// Reading fails when a program has broken what Deno itself is made of; a silent end is better than a long silence.
serve().then(undefined, () => exit(70));
