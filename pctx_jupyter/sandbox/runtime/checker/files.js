// @ts-check
/**
 * The files that the compiler reads, all in memory: the libraries, which every session sees, and texts of sessions.
 */

import globals from "../globals.d.ts" with { type: "text" };
import libs from "../vendor/libs.json" with { type: "json" };
import { ts } from "./compiler.js";

let versions = 0;

/** A text as the compiler wants it; it is replaced as a whole, and no changes are described. */
export class File {
  /** @param {string} text @param {string} [version] */
  constructor(text, version = String(++versions)) {
    this.text = text;
    this.version = version;
    this.snapshot = ts.ScriptSnapshot.fromString(text);
  }
}

/** @type {Map<string, File>} what every session sees */
export const common = new Map([["/globals.d.ts", new File(globals)]]);
for (const [name, text] of Object.entries(libs)) common.set("/lib/" + name, new File(/** @type {string} */ (text)));
export const commonNames = [...common.keys()];

/** Parses what sessions have of their own, and shares what several have. */
const own = ts.createDocumentRegistry(true, "/");

/** The libraries as they were parsed, with their comments once an editor has asked for them. @type {Map<string, any>} */
const parsed = new Map();
let areDocumented = false;

/**
 * Parses the libraries too. Their comments are two thirds of them, and of no use to a check: without them, a process is
 * ready in three quarters of the time.
 */
export const registry = {
  ...own,
  acquireDocumentWithKey: (/** @type {any[]} */ ...args) => library(args) ?? own.acquireDocumentWithKey(...args),
  updateDocumentWithKey: (/** @type {any[]} */ ...args) => library(args) ?? own.updateDocumentWithKey(...args),
  releaseDocumentWithKey: (/** @type {any[]} */ ...args) => {
    if (!args[0].startsWith("/lib/")) own.releaseDocumentWithKey(...args);
  },
};

/** One library, or undefined: the file is none. Takes what the registry's methods take. @param {any[]} args */
function library([name, , , key, snapshot, version, kind, options]) {
  if (!name.startsWith("/lib/")) return undefined;
  let source = parsed.get(key + name);
  if (source === undefined) {
    const { ParseAll, ParseNone } = ts.JSDocParsingMode;
    const how = { ...options, jsDocParsingMode: areDocumented ? ParseAll : ParseNone };
    source = ts.createLanguageServiceSourceFile(name, snapshot, how, version, false, kind);
    parsed.set(key + name, source);
  }
  return source;
}

/** Parses the libraries with their comments from now on: an editor shows them. */
export function documentLibraries() {
  if (areDocumented) return;
  areDocumented = true;
  parsed.clear();
  for (const [name, file] of common) if (name.startsWith("/lib/")) common.set(name, new File(file.text));
}
