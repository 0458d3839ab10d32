// @ts-check
/**
 * The type checker: TypeScript's LanguageService over files that exist in memory alone, asked on stdin and answered on
 * stdout in JSON-RPC 2.0, one message a line, one after the other.
 *
 * It knows TypeScript; it refuses to know what a tool is, how long an answer may take or what the messages should say
 * to people: the host decides. It has no permission and opens nothing; no import is resolved.
 *
 *     >  {"method":"ready","params":{"left":[],"typescript":"6.0.3"}}
 *     <  {"id":1,"method":"check","params":{session, code, budget_ms?, files?, texts?, globals?, keep?}}
 *     >  {"id":1,"result":{"found":[…],"more":false,"outline":{…},"kept":"…"}}    `kept`: declarations for later programs
 *     <  "read" with {code}: [outline], without a check; [] where there is a syntax error
 *     <  "complete", "hover" or "signature" with {…, offset}
 *     >  {start, length, items: [{name, kind, detail?, docs?}]}, [{start, length, text, docs}] or [{signatures, signature, parameter}]
 *     <  {"method":"forget","params":{session}}
 *     <  {"method":"tidy","params":{}}    collects garbage, and returns its memory to the system
 *
 * `files` names the scripts that declare tools, `texts` has those of them that the session did not have before, and
 * `globals` is a script that declares inputs; they stay until the next ones. A file's name stands for its text: whoever
 * sends the same name sends the same text. `session` is a name that the host made: no session sees another's files. Offsets are UTF-16 units; lines and columns are
 * 1-based, and only a line feed ends a line, as the host counts.
 */

import { check, read } from "./check.js";
import { ts } from "./compiler.js";
import { complete, hover, signature } from "./editing.js";
import { forget, limit, recover } from "./sessions.js";

/** @type {Record<string, (params: any) => unknown>} */
const methods = { check, complete, hover, read, signature };

const encoder = new TextEncoder();

/** @param {any} message */
function send(message) {
  const bytes = encoder.encode(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n");
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

/** @param {any} message */
function receive({ id, method, params }) {
  if (method === "forget") return forget(params.session);
  if (method === "tidy") return globalThis.gc?.({ type: "major", flavor: "last-resort" });
  if (id === undefined || !Object.hasOwn(methods, method)) return;
  limit(params.budget_ms ?? Infinity);
  try {
    send({ id, result: methods[method](params) });
  } catch (error) {
    const { name, message } = /** @type {Error} */ (error ?? {});
    const timely = !(error instanceof ts.OperationCanceledException);
    send({
      id,
      error: { code: timely ? -32603 : -32003, message: timely ? `${name}: ${message}`.slice(0, 300) : "time" },
    });
    if (timely) recover(params.session);
  }
}

send({ method: "ready", params: { left: [], typescript: ts.version } });

const decoder = new TextDecoder();
const chunk = new Uint8Array(1 << 16);
/** @type {string[]} */
let parts = [];
for (;;) {
  const count = await Deno.stdin.read(chunk);
  if (count === null) break;
  const [first, ...rest] = decoder.decode(chunk.subarray(0, count), { stream: true }).split("\n");
  parts.push(first);
  for (const line of rest) {
    receive(JSON.parse(parts.join("")));
    parts = [line];
  }
}
