// @ts-check
/**
 * The sessions: each has its files, and services that read its program.
 */

import { OPTIONS, PLAIN_OPTIONS, ts } from "./compiler.js";
import { common, commonNames, File, registry } from "./files.js";

/** When what runs now has to stop, by the clock of `performance`. */
let deadline = Infinity;

/** Stops what runs now once its time is up. @param {number} budget_ms milliseconds */
export function limit(budget_ms) {
  deadline = performance.now() + budget_ms;
}

/** What a program's file is called when it is read as TypeScript, and as JavaScript; and among a session's files. */
export const TYPED = "/program.ts", PLAIN = "/program.js", PROGRAM = "program";

/** Where the files are that declare tools. */
export const TOOLS = "/tools/";

/** One session's files, and the services that know them: one reads a program as TypeScript, one as JavaScript. */
export class Session {
  constructor() {
    /** @type {Map<string, File>} */
    this.files = new Map();
    this.typed = this.open(OPTIONS, TYPED);
    /** @type {any} made when it is needed */
    this.plain = undefined;
    /** @type {{code: string, record: [number, number]} | undefined} the latest program, if an object ends it */
    this.ended = undefined;
  }

  /** @param {any} options @param {string} program */
  open(options, program) {
    const find = (/** @type {string} */ name) => this.files.get(name === program ? PROGRAM : name) ?? common.get(name);
    const own = () => [...this.files.keys()].map((name) => name === PROGRAM ? program : name);
    const host = {
      getCompilationSettings: () => options,
      getCurrentDirectory: () => "/",
      getDefaultLibFileName: () => "/lib/lib.esnext.d.ts",
      getScriptFileNames: () => [...commonNames, ...own()],
      getScriptVersion: (/** @type {string} */ name) => find(name)?.version ?? "0",
      getScriptSnapshot: (/** @type {string} */ name) => find(name)?.snapshot,
      fileExists: (/** @type {string} */ name) => find(name) !== undefined,
      readFile: (/** @type {string} */ name) => find(name)?.text,
      directoryExists: () => true,
      getDirectories: () => [],
      useCaseSensitiveFileNames: () => true,
      getCancellationToken: () => ({ isCancellationRequested: () => performance.now() > deadline }),
      resolveModuleNameLiterals: (/** @type {any[]} */ names) => names.map(() => ({ resolvedModule: undefined })),
      resolveTypeReferenceDirectiveReferences: (/** @type {any[]} */ names) =>
        names.map(() => ({ resolvedTypeReferenceDirective: undefined })),
    };
    return ts.createLanguageService(host, registry);
  }

  /** @param {string} name @param {string} text empty: no such file */
  set(name, text) {
    if (text === "") this.files.delete(name);
    else if (this.files.get(name)?.text !== text) this.files.set(name, new File(text));
  }

  /** @param {string[]} names @param {Record<string, string>} texts of those that are new */
  declare(names, texts) {
    const wanted = new Set(names.map((name) => TOOLS + name + ".d.ts"));
    for (const name of this.files.keys()) if (name.startsWith(TOOLS) && !wanted.has(name)) this.files.delete(name);
    // One version for all: the registry parses a text once, whichever sessions have it.
    for (const [name, text] of Object.entries(texts)) this.files.set(TOOLS + name + ".d.ts", new File(text, "1"));
  }

  /** @param {any} params */
  update({ code, files, texts, globals }) {
    if (files !== undefined) this.declare(files, texts);
    if (globals !== undefined) this.set("/inputs.d.ts", globals);
    if (this.files.get(PROGRAM)?.text !== code) this.files.set(PROGRAM, new File(code));
    return this.typed;
  }

  /** The service that reads the program as JavaScript; undefined when it has syntax of TypeScript's own. */
  asJavaScript() {
    this.plain ??= this.open(PLAIN_OPTIONS, PLAIN);
    return this.plain.getSyntacticDiagnostics(PLAIN).length === 0 ? this.plain : undefined;
  }

  dispose() {
    this.typed.dispose();
    this.plain?.dispose();
  }

  /** Starts over after an error in the compiler, which is not to be trusted in the middle of something; files stay. */
  recover() {
    try {
      this.dispose();
    } catch { /* It is in the middle of something. */ }
    this.typed = this.open(OPTIONS, TYPED);
    this.plain = undefined;
  }
}

/** @type {Map<string, Session>} */
const sessions = new Map();

/** @param {string} name */
export function open(name) {
  let session = sessions.get(name);
  if (session === undefined) sessions.set(name, session = new Session());
  return session;
}

/** @param {string} name */
export function forget(name) {
  const session = sessions.get(name);
  sessions.delete(name);
  session?.dispose();
}

/** Starts a session over after an error in the compiler. @param {string} name */
export function recover(name) {
  sessions.get(name)?.recover();
}
