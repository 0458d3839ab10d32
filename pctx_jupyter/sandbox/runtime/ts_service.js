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

import compiler from "./vendor/typescript.min.txt" with { type: "text" };
import libs from "./vendor/libs.json" with { type: "json" };
import globals from "./globals.d.ts" with { type: "text" };

/** Diagnostics an answer holds. */
const MAX_FOUND = 10;
/** Of these, syntax errors: further ones mostly follow from the first. */
const MAX_SYNTAX = 3;
/** Completions an answer holds. */
const MAX_ITEMS = 200;
/** Completions that have their types and descriptions: a list shows few of them at a time. */
const MAX_DETAILED = 50;
/** Characters of one type. */
const MAX_DETAIL = 200;
/** Names that an answer lists where one does not exist. */
const MAX_NAMES = 200;
/** Levels into a program's value at which a promise is looked for. */
const MAX_DEPTH = 3;

// As a text it is ready in a third of the time a module takes. Evaluated as it is, V8 keeps no second copy of its 3.6 MB.
Reflect.deleteProperty(globalThis, "process"); // Deno would load it, for the compiler to look at.
(0, eval)(compiler);
const { ts } = /** @type {any} */ (globalThis);
Reflect.deleteProperty(globalThis, "ts");

const OPTIONS = {
  target: ts.ScriptTarget.ESNext,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  moduleDetection: ts.ModuleDetectionKind.Force, // a program is a module, `export` or not
  lib: ["lib.esnext.d.ts"],
  types: [],
  strict: true,
  // Implicit `any` passes; but only with this on does `const rows = []` grow into what is pushed. Its errors are dropped.
  noImplicitAny: true,
  useUnknownInCatchVariables: false, // `catch (e) { e.message }`
  allowUnreachableCode: true,
  allowUnusedLabels: true,
  noUncheckedSideEffectImports: true,
  noEmit: true,
  allowImportingTsExtensions: true,
};

/** For what people write without types: there `null` and `[]` say nothing of what comes later. */
const PLAIN_OPTIONS = { ...OPTIONS, allowJs: true, checkJs: true, strictNullChecks: false };

// ── Files ───────────────────────────────────────────────────────────────────────────────────────────────────────

let versions = 0;

/** A text as the compiler wants it; it is replaced as a whole, and no changes are described. */
class File {
  /** @param {string} text @param {string} [version] */
  constructor(text, version = String(++versions)) {
    this.text = text;
    this.version = version;
    this.snapshot = ts.ScriptSnapshot.fromString(text);
  }
}

/** @type {Map<string, File>} what every session sees */
const common = new Map([["/globals.d.ts", new File(globals)]]);
for (const [name, text] of Object.entries(libs)) common.set("/lib/" + name, new File(/** @type {string} */ (text)));
const commonNames = [...common.keys()];

/** Parses what sessions have of their own, and shares what several have. */
const own = ts.createDocumentRegistry(true, "/");

/** The libraries as they were parsed, with their comments once an editor has asked for them. @type {Map<string, any>} */
const parsed = new Map();
let areDocumented = false;

/**
 * Parses the libraries too. Their comments are two thirds of them, and of no use to a check: without them, a process is
 * ready in three quarters of the time.
 */
const registry = {
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
function documentLibraries() {
  if (areDocumented) return;
  areDocumented = true;
  parsed.clear();
  for (const [name, file] of common) if (name.startsWith("/lib/")) common.set(name, new File(file.text));
}

/** When what runs now has to stop, by the clock of `performance`. */
let deadline = Infinity;

/** What a program's file is called when it is read as TypeScript, and as JavaScript; and among a session's files. */
const TYPED = "/program.ts", PLAIN = "/program.js", PROGRAM = "program";

/** Where the files are that declare tools. */
const TOOLS = "/tools/";

/** One session's files, and the services that know them: one reads a program as TypeScript, one as JavaScript. */
class Session {
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
function open(name) {
  let session = sessions.get(name);
  if (session === undefined) sessions.set(name, session = new Session());
  return session;
}

/** @param {string} name */
function forget(name) {
  const session = sessions.get(name);
  sessions.delete(name);
  session?.dispose();
}

// ── Checking ────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * What is wrong with a program, in the order of its text, and its outline.
 *
 * @param {any} params `keep`: whether its author asked to keep its whole top level; null: only what it exports
 */
function check(params) {
  const session = open(params.session), { code } = params;
  // Its text with parentheses is what the service knows of it, and may have checked already.
  let record = session.ended?.code === code ? session.ended.record : undefined;
  const service = session.update(record === undefined ? params : { ...params, code: withParentheses(code, record) });
  let syntax = service.getSyntacticDiagnostics(TYPED);
  let program = service.getProgram(), source = program.getSourceFile(TYPED);
  if (record === undefined) {
    record = recordAtTheEnd(source, syntax.length === 0);
    session.ended = record === undefined ? undefined : { code, record };
    if (record !== undefined) {
      session.update({ code: withParentheses(code, record) });
      syntax = service.getSyntacticDiagnostics(TYPED);
      program = service.getProgram();
      source = program.getSourceFile(TYPED);
    }
  }
  if (record !== undefined) params = { ...params, code: withParentheses(code, record) };
  if (syntax.length > 0) return answer(program, source, inJSX(source) ?? syntax, MAX_SYNTAX);
  const shape = outline(source, record);
  const names = params.keep === undefined ? undefined : unexported(shape, params.keep);
  const kept = names === undefined ? undefined : declare(session, params.code, names);
  if (kept !== undefined) {
    session.update(params);
    program = service.getProgram();
    source = program.getSourceFile(TYPED);
  }
  let found = errors(service, TYPED, source);
  const checker = program.getTypeChecker(), read = source;
  if (found.some((d) => mayBeIdiom(checker, read, d))) {
    const plain = session.asJavaScript();
    if (plain !== undefined) {
      program = plain.getProgram();
      source = program.getSourceFile(PLAIN);
      found = [...found.filter(certainly(program.getTypeChecker(), source)), ...errors(plain, PLAIN, source)];
    }
  }
  const forgotten = promises(program.getTypeChecker(), source)
    .filter((p) => !found.some((d) => d.start <= p.start && p.start < d.start + d.length));
  return { ...answer(program, source, [...found, ...forgotten], MAX_FOUND, record), outline: shape, kept };
}

/** The outline of a program; none where it has a syntax error. @param {any} params */
function read({ code }) {
  const source = parse(code), isValid = source.parseDiagnostics.length === 0;
  const record = recordAtTheEnd(source, isValid);
  if (record === undefined) return isValid ? [outline(source)] : [];
  return [outline(parse(withParentheses(code, record)), record)];
}

/** @param {string} code @param {[number, number]} record */
const withParentheses = (code, [start, end]) =>
  `${code.slice(0, start)}${OPENED}${code.slice(start, end)})${code.slice(end)}`;

// ── The top level ───────────────────────────────────────────────────────────────────────────────────────────────

/** @param {string} code @param {string} [name] */
const parse = (code, name = TYPED) => ts.createSourceFile(name, code, ts.ScriptTarget.ESNext, true);

/** What is put before a record at the end, so that it is read as one whatever stands before. */
const OPENED = ";(";
/** Statements at the end of a program with a syntax error among which a record is looked for. */
const MAX_LAST = 8;

/**
 * Where the last statement is `{ a: 1 }`: JavaScript reads a block, everybody else an object.
 *
 * As the value of a program only the object makes sense, and where both can be read, both do the same: they look up the
 * same names and call the same functions. `{ a: 1, b: 2 }` is no block at all.
 *
 * @param {any} source
 * @param {boolean} isBlock whether the program can be read as it is
 * @returns {[number, number] | undefined} from where to where it goes
 */
function recordAtTheEnd(source, isBlock) {
  const { text, statements } = source;
  if (isBlock) {
    const last = statements.findLast((/** @type {any} */ s) => !ts.isEmptyStatement(s));
    if (last === undefined || !ts.isBlock(last) || last.statements.length === 0) return undefined;
    const start = last.getStart(source), properties = propertiesOf(text.slice(start, last.end));
    const same = properties?.every((/** @type {any} */ p) =>
      ts.isPropertyAssignment(p) || ts.isShorthandPropertyAssignment(p)
    );
    return same ? [start, last.end] : undefined;
  }
  const end = text.trimEnd().replace(/(\s*;)+$/, "").length;
  for (const statement of statements.slice(-MAX_LAST).reverse()) {
    const start = statement.getStart(source);
    if (!ts.isBlock(statement) || propertiesOf(text.slice(start, end)) === undefined) continue;
    return parse(text.slice(0, start)).parseDiagnostics.length === 0 ? [start, end] : undefined;
  }
  return undefined;
}

/** The properties of a text that is an object literal as a whole. @param {string} text @returns {any[] | undefined} */
function propertiesOf(text) {
  const { statements, parseDiagnostics } = parse(`(${text}\n)`);
  if (parseDiagnostics.length > 0 || statements.length !== 1 || !ts.isExpressionStatement(statements[0])) {
    return undefined;
  }
  const { expression } = statements[0];
  if (!ts.isParenthesizedExpression(expression) || !ts.isObjectLiteralExpression(expression.expression)) {
    return undefined;
  }
  return expression.expression.properties;
}

/**
 * What a program has at its top level: its value, and what later programs may want of it. Offsets are those of the
 * code as it was sent.
 *
 * @param {any} source without syntax errors
 * @param {[number, number]} [record] where the code ends with an object that the source has in parentheses
 */
function outline(source, record) {
  /** @type {any} */
  const found = {
    run: false,
    exported_run: null,
    is_default: false,
    calls_run: false,
    last: null,
    values: [],
    types: [],
    pieces: [],
    exports: {},
    mentioned: [],
  };
  const mentioned = new Set();
  for (const statement of source.statements) {
    if (ts.isExpressionStatement(statement)) {
      found.last = [statement.expression.getStart(source), statement.expression.end];
    } else if (ts.isExportAssignment(statement)) found.is_default = true;
    else if (ts.isExportDeclaration(statement)) listExports(statement, found);
    else describeDeclaration(source, statement, found, mentioned);
    found.calls_run ||= callsRun(statement, source.text);
  }
  if (record !== undefined) found.last = record;
  found.values = [...new Set(found.values)];
  found.types = [...new Set(found.types)];
  found.mentioned = [...mentioned];
  return found;
}

/** @param {any} statement @param {any} found */
function listExports({ exportClause, isTypeOnly, moduleSpecifier }, found) {
  if (exportClause === undefined || !ts.isNamedExports(exportClause)) return;
  for (const { name, propertyName, isTypeOnly: isType } of exportClause.elements) {
    if (!isTypeOnly && !isType && name.text === "default") found.is_default = true;
    if (!isTypeOnly && !isType && name.text === "run") found.exported_run = "run";
    if (moduleSpecifier === undefined) found.exports[name.text] = (propertyName ?? name).text;
  }
}

/** @param {any} source @param {any} node a statement @param {any} found @param {Set<string>} mentioned */
function describeDeclaration(source, node, found, mentioned) {
  const is = (/** @type {any} */ kind) => node.modifiers?.some((/** @type {any} */ m) => m.kind === kind) === true;
  const isExported = is(ts.SyntaxKind.ExportKeyword), isDefault = is(ts.SyntaxKind.DefaultKeyword);
  if (isDefault) found.is_default = true;
  if (is(ts.SyntaxKind.DeclareKeyword)) return;
  /** @type {string[]} */
  let names = [];
  let isPiece = false;
  if (ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node) || ts.isEnumDeclaration(node)) {
    if (ts.isFunctionDeclaration(node) && node.body === undefined) return;
    names = node.name === undefined ? [] : [node.name.text];
    isPiece = names.length > 0;
    found.values.push(...names);
    found.run ||= ts.isFunctionDeclaration(node) && names[0] === "run" && !isDefault;
  } else if (ts.isVariableStatement(node)) {
    const { declarations } = node.declarationList;
    names = declarations.flatMap((/** @type {any} */ d) => boundNames(d.name));
    found.values.push(...names);
    found.run ||= declarations.some((/** @type {any} */ d) => ts.isIdentifier(d.name) && d.name.text === "run");
    isPiece = declarations.every((/** @type {any} */ { initializer }) =>
      initializer !== undefined &&
      (ts.isArrowFunction(initializer) || ts.isFunctionExpression(initializer) || ts.isClassExpression(initializer))
    );
  } else if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) {
    names = [node.name.text];
    found.types.push(...names);
  }
  if (isPiece) {
    let start = node.getStart(source);
    for (const { kind, end } of node.modifiers ?? []) {
      if (kind !== ts.SyntaxKind.ExportKeyword && kind !== ts.SyntaxKind.DefaultKeyword) continue;
      start = ts.skipTrivia(source.text, end);
    }
    found.pieces.push({ names, start, end: node.end });
    mention(node, mentioned);
  }
  if (isExported && !isDefault) { for (const name of names) found.exports[name] = name; }
}

/** The names that a pattern declares. @param {any} name @returns {string[]} */
const boundNames = (name) =>
  ts.isIdentifier(name)
    ? [name.text]
    : name.elements.flatMap((/** @type {any} */ e) => ts.isBindingElement(e) ? boundNames(e.name) : []);

/** Collects the names that a piece of code looks up. @param {any} node @param {Set<string>} mentioned */
function mention(node, mentioned) {
  if (ts.isIdentifier(node)) {
    const { parent } = node, isName = parent.name === node;
    const isMember = isName && (ts.isPropertyAccessExpression(parent) || ts.isPropertyAssignment(parent) ||
      ts.isClassElement(parent) || ts.isMethodDeclaration(parent) || ts.isAccessor(parent));
    if (!isMember && parent.propertyName !== node) mentioned.add(node.text);
  }
  ts.forEachChild(node, (/** @type {any} */ child) => mention(child, mentioned));
}

/**
 * Whether a statement calls `run`: in functions it declares that does not count, in its callbacks it does.
 *
 * @param {any} statement
 * @param {string} text of the whole program
 */
function callsRun(statement, text) {
  const everywhere = ts.isExpressionStatement(statement);
  /** @param {any} node @returns {boolean} */
  const calls = (node) => {
    const at = text.indexOf("run", node.pos);
    if (at < 0 || at >= node.end) return false;
    if (ts.isCallExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === "run") return true;
    if (!everywhere && (ts.isFunctionLike(node) || ts.isClassLike(node))) return false;
    return ts.forEachChild(node, calls) === true;
  };
  return calls(statement);
}

/**
 * The names of its top level that a program does not export though later programs are to find them; undefined: none
 * are to be found.
 *
 * @param {any} shape
 * @param {boolean | null} keep
 * @returns {string[] | undefined}
 */
function unexported(shape, keep) {
  const isKept = (/** @type {string} */ name) => name !== "run" && name !== "default";
  const exported = Object.keys(shape.exports);
  if (exported.length > 0) return exported.some(isKept) ? [] : undefined;
  const names = [...shape.values, ...shape.types].filter(isKept);
  return keep && names.length > 0 ? [...new Set(names)] : undefined;
}

/** What to say of a program that is none because it has JSX. @param {any} source @returns {any[] | undefined} */
function inJSX(source) {
  const read = parse(source.text, "/program.tsx");
  if (read.parseDiagnostics.length > 0) return undefined;
  /** @param {any} node @returns {any} */
  const find = (node) =>
    ts.isJsxElement(node) || ts.isJsxSelfClosingElement(node) || ts.isJsxFragment(node)
      ? node
      : ts.forEachChild(node, find);
  const found = find(read);
  if (found === undefined) return undefined;
  const start = found.getStart(read);
  return [{ file: source, start, length: found.end - start, code: 1999, messageText: "JSX" }];
}

/**
 * Declare the top level of a program, as the members of an ambient namespace: exact types, and no values.
 *
 * @param {Session} session
 * @param {string} code
 * @param {string[]} names of its top level, which it does not export itself
 */
function declare(session, code, names) {
  const service = session.update({ code: `${code}\nexport { ${names.join(", ")} };` });
  const text = service.getEmitOutput(TYPED, true, true).outputFiles[0]?.text ?? "";
  const file = ts.createSourceFile("/kept.d.ts", text, ts.ScriptTarget.ESNext);
  let kept = "";
  for (const statement of file.statements) {
    const modifiers = statement.modifiers ?? [];
    const is = (/** @type {any} */ kind) => modifiers.some((/** @type {any} */ m) => m.kind === kind);
    // A namespace can neither list exports nor have a default one; within it all is exported, and all is declared.
    if (ts.isExportDeclaration(statement) || ts.isExportAssignment(statement)) continue;
    if (is(ts.SyntaxKind.DefaultKeyword)) continue;
    let from = statement.getStart(file), whole = text.slice(statement.getFullStart(), from);
    for (const { kind, pos, end } of modifiers) {
      if (kind !== ts.SyntaxKind.ExportKeyword && kind !== ts.SyntaxKind.DeclareKeyword) whole += text.slice(pos, end);
      from = end;
    }
    kept += whole + text.slice(from, statement.end);
  }
  return kept.trim();
}

/** @param {any} service @param {string} name @param {any} source @returns {any[]} */
function errors(service, name, source) {
  return service.getSemanticDiagnostics(name).filter((/** @type {any} */ d) =>
    d.category === ts.DiagnosticCategory.Error && d.file !== undefined && !isImplicitAny(d) && !isOption(source, d)
  );
}

/** @param {any} d */
const textOf = (d) => ts.flattenDiagnosticMessageText(d.messageText, "\n");

/**
 * The errors of `noImplicitAny`, and of `this` without a type; but to index a promise is none of them.
 *
 * @param {any} d
 */
const isImplicitAny = (d) => d.code === 2683 || (d.code >= 7000 && d.code < 8000 && !isIndexedPromise(d));

/** @param {any} d */
const isIndexedPromise = (d) => (d.code === 7052 || d.code === 7053) && /type '(typeof )?Promise</.test(textOf(d));

/**
 * Whether an error is about an option that has no default, in `function f({ limit = 10, all } = {})`.
 *
 * @param {any} source
 * @param {any} d
 */
function isOption(source, d) {
  if (d.code !== 2339 && d.code !== 2525) return false;
  const element = nodeAt(source, d.start)?.parent;
  if (element === undefined || !ts.isBindingElement(element)) return false;
  const parameter = element.parent.parent;
  return ts.isParameter(parameter) && parameter.type === undefined && parameter.initializer !== undefined &&
    ts.isObjectLiteralExpression(parameter.initializer);
}

/**
 * Whether an error may be none in plain JavaScript, where objects grow, fields are first mentioned when they are set,
 * and `null` and `[]` say nothing of what comes later.
 *
 * @param {any} checker
 * @param {any} source
 * @param {any} d
 */
function mayBeIdiom(checker, source, d) {
  if (d.code !== 2339 && d.code !== 2551) return /'(null|undefined|never|never\[\]|\{\})'/.test(textOf(d));
  const access = nodeAt(source, d.start)?.parent;
  if (access === undefined || !ts.isPropertyAccessExpression(access)) return false;
  const type = checker.getTypeAtLocation(access.expression);
  return !type.symbol || type.symbol.declarations?.some((/** @type {any} */ at) => at.getSourceFile() === source);
}

/**
 * Which errors of a program read as TypeScript it keeps when it is read as JavaScript, where TypeScript lets more pass
 * than we do.
 *
 * @param {any} checker
 * @param {any} source read as JavaScript
 */
function certainly(checker, source) {
  return (/** @type {any} */ d) => {
    if (CERTAIN.has(d.code)) return true;
    if (!NULLISH.has(d.code)) return false;
    let node = nodeAt(source, d.start);
    while (node !== undefined && node.end < d.start + d.length) node = node.parent;
    return node !== undefined && (checker.getTypeAtLocation(node).flags & ts.TypeFlags.Any) === 0;
  };
}
/** Names that do not exist, arguments that are missing. */
const CERTAIN = new Set([2304, 2307, 2552, 2554, 2555, 2580, 2584, 2591]);
/** What may be null or undefined: in JavaScript, if it has a type other than that of what it was first set to. */
const NULLISH = new Set([2531, 2532, 2533, 2721, 2722, 2723, 18046, 18047, 18048, 18049]);

// ── Promises nobody awaits ──────────────────────────────────────────────────────────────────────────────────────

const FORGOTTEN = "This is a Promise, and not its value";

/**
 * Promises used as values where TypeScript allows any value: put into a text, printed, returned or given to a tool
 * inside an object.
 *
 * @param {any} checker
 * @param {any} source
 */
function promises(checker, source) {
  /** @type {any[]} */
  const found = [];
  /** Whether a type is one that programs do not declare themselves. @param {any} type */
  const isForeign = (type) => type.symbol?.declarations?.some((/** @type {any} */ d) => d.getSourceFile() !== source);
  /** @param {any} type */
  const isPromise = (type) =>
    (type.symbol?.name === "Promise" && isForeign(type)) || (type.isUnion() && type.types.some(isPromise));
  /**
   * The path to a promise in values of a type, `.rows[].total`.
   *
   * @param {any} type
   * @param {number} levels how deep to look
   * @returns {string | undefined}
   */
  const pathIn = (type, levels) => {
    if (isPromise(type)) return "";
    if (levels <= 0) return undefined;
    if (type.isUnionOrIntersection()) {
      for (const one of type.types) {
        const path = pathIn(one, levels);
        if (path !== undefined) return path;
      }
      return undefined;
    }
    if ((type.flags & ts.TypeFlags.Object) === 0) return undefined;
    if (checker.isArrayType(type) || checker.isTupleType(type) || isCollection(type)) {
      for (const one of checker.getTypeArguments(type)) {
        const path = pathIn(one, levels - 1);
        if (path !== undefined) return "[]" + path;
      }
      return undefined;
    }
    // Of what the platform declares, methods and getters are no part of the value.
    if (isForeign(type) && type.symbol.declarations.some((/** @type {any} */ d) => isOfLibrary(d))) return undefined;
    if (levels < 2 || checker.getPropertyOfType(type, "toJSON") !== undefined) return undefined;
    for (const property of checker.getPropertiesOfType(type).slice(0, MAX_PROPERTIES)) {
      if (/^#|^__[#@]/.test(property.name)) continue; // Private fields and symbols are no part of JSON.
      const at = property.valueDeclaration ?? source;
      if (ts.isMethodDeclaration(at) || ts.isGetAccessor(at)) continue;
      const path = pathIn(checker.getTypeOfSymbolAtLocation(property, at), levels - 1);
      if (path !== undefined) return `.${property.name}${path}`;
    }
    return undefined;
  };
  /** @param {any} type */
  const isCollection = (type) => COLLECTIONS.has(type.symbol?.name) && isForeign(type) && type.target !== undefined;
  const report = (/** @type {any} */ node, /** @type {string} */ promised) => {
    const start = node.getStart(source);
    found.push({
      file: source,
      start,
      length: node.end - start,
      code: 2801,
      category: ts.DiagnosticCategory.Error,
      messageText: FORGOTTEN,
      awaits: true,
      promised,
    });
  };
  const demand = (/** @type {any} */ node) => {
    if (isPromise(checker.getTypeAtLocation(node))) report(node, "");
  };
  /** Looks into what becomes JSON, `levels` deep. The value itself may be a promise where it is awaited. */
  const demandIn = (/** @type {any} */ node, isAwaited = false, levels = MAX_DEPTH) => {
    while (isWrapped(node)) node = node.expression;
    if (ts.isObjectLiteralExpression(node)) {
      for (const property of node.properties) {
        if (ts.isPropertyAssignment(property)) demandIn(property.initializer, false, levels);
        else if (ts.isShorthandPropertyAssignment(property)) {
          const symbol = checker.getShorthandAssignmentValueSymbol(property);
          const path = symbol && pathIn(checker.getTypeOfSymbolAtLocation(symbol, property), levels);
          if (path !== undefined) report(property.name, path);
        }
      }
      return;
    }
    if (ts.isArrayLiteralExpression(node)) {
      for (const element of node.elements) if (!ts.isSpreadElement(element)) demandIn(element, false, levels);
      return;
    }
    const type = checker.getTypeAtLocation(node),
      path = pathIn(isAwaited ? checker.getAwaitedType(type) ?? type : type, levels);
    if (path !== undefined) report(node, path);
  };
  /** Whether a call is one of a tool, which makes JSON of its arguments. @param {any} call */
  const isToolCall = (call) => {
    const file = checker.getResolvedSignature(call)?.declaration?.getSourceFile().fileName;
    return file?.startsWith(TOOLS) ||
      (file === "/globals.d.ts" && /\bCALLABLE_TOOLS\b/.test(call.expression.getText(source)));
  };
  const visit = (/** @type {any} */ node) => {
    if (ts.isTemplateSpan(node)) {
      if (!ts.isTaggedTemplateExpression(node.parent.parent)) demand(node.expression);
    } else if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
      demand(node.left);
      demand(node.right);
    } else if (ts.isCallExpression(node) && takesValues(node.expression)) {
      for (const argument of node.arguments) demandIn(argument, false, 1);
    } else if (ts.isCallExpression(node) && isToolCall(node)) {
      for (const argument of node.arguments) demandIn(argument);
    } else if (ts.isExportAssignment(node)) demandIn(node.expression, true);
    else if (ts.isReturnStatement(node) && node.expression !== undefined) {
      if (isRun(ts.findAncestor(node, ts.isFunctionLike))) demandIn(node.expression, true);
    } else if (ts.isArrowFunction(node) && !ts.isBlock(node.body) && isRun(node)) demandIn(node.body, true);
    ts.forEachChild(node, visit);
  };
  visit(source);
  const last = source.statements.findLast((/** @type {any} */ s) => ts.isExpressionStatement(s));
  if (last !== undefined) demandIn(last.expression, true);
  const seen = new Set();
  return found.filter(({ start }) => !seen.has(start) && seen.add(start));
}

/** Whether a node says of another only how it is read. @param {any} node */
const isWrapped = (node) =>
  ts.isParenthesizedExpression(node) || ts.isAsExpression(node) || ts.isSatisfiesExpression(node) ||
  ts.isTypeAssertionExpression(node) || ts.isNonNullExpression(node);

/** Properties of a type among which a promise is looked for. */
const MAX_PROPERTIES = 100;
/** Types whose type arguments are the types of what becomes their elements. */
const COLLECTIONS = new Set(["Map", "Set", "ReadonlyArray", "ReadonlyMap", "ReadonlySet", "Record"]);

/** @param {any} declaration */
const isOfLibrary = (declaration) => /^\/(lib\/|globals\.d\.ts)/.test(declaration.getSourceFile().fileName);

/** Whether a function prints its arguments, or makes a text of them. @param {any} callee */
function takesValues(callee) {
  if (ts.isIdentifier(callee)) return callee.text === "String" || callee.text === "Number";
  if (!ts.isPropertyAccessExpression(callee) || !ts.isIdentifier(callee.expression)) return false;
  const object = callee.expression.text;
  return object === "console" || (object === "JSON" && callee.name.text === "stringify");
}

/** Whether a function is the program's `run`, which returns its value. @param {any} node */
function isRun(node) {
  if (node === undefined) return false;
  const named = ts.isFunctionDeclaration(node) ? node : node.parent;
  const owner = ts.isVariableDeclaration(named) ? named.parent.parent.parent : named.parent;
  return named.name !== undefined && ts.isIdentifier(named.name) && named.name.text === "run" && ts.isSourceFile(owner);
}

// ── Saying what was found ───────────────────────────────────────────────────────────────────────────────────────

/**
 * @param {any} program
 * @param {any} source
 * @param {any[]} found
 * @param {number} most
 * @param {[number, number]} [record] where the code as it was sent ends with an object without parentheses
 */
function answer(program, source, found, most, record) {
  const ordered = [...found].sort((a, b) => a.start - b.start || a.code - b.code);
  const distinct = ordered.filter((d, i) => i === 0 || d.start !== ordered[i - 1].start);
  const { text } = source;
  /** Where something is in the code as it was sent. @param {number} offset */
  const at = (offset) => {
    if (record === undefined || offset <= record[0]) return place(text, offset);
    const [start, end] = record, added = OPENED.length;
    const sent = text.slice(0, start) + text.slice(start + added, end + added) + text.slice(end + added + 1);
    const inside = Math.max(start, Math.min(offset - added, end));
    return place(sent, offset > end + added ? offset - added - 1 : inside);
  };
  return { found: distinct.slice(0, most).map((d) => describe(program, source, d, at)), more: distinct.length > most };
}

/**
 * @param {any} program
 * @param {any} source
 * @param {any} d
 * @param {(offset: number) => number[]} at line and column
 */
function describe(program, source, d, at) {
  const { text } = source, node = nodeAt(source, d.start);
  const [line, column] = at(d.start), [endLine, endColumn] = at(Math.min(d.start + d.length, text.length));
  const awaits = d.awaits === true || isIndexedPromise(d) || // or TypeScript asks: did you forget to use 'await'?
    (d.relatedInformation ?? []).some((/** @type {any} */ r) => r.code === 2773);
  return {
    message: textOf(d),
    code: d.code,
    line,
    column,
    end_line: endLine,
    end_column: endColumn,
    awaits,
    ...(d.promised === undefined ? {} : { promised: d.promised }),
    ...(node !== undefined && isSetAlone(node) ? { sets: true } : {}),
    ...(node === undefined ? {} : alternatives(program.getTypeChecker(), node, d.code)),
    ...(node === undefined || !INCOMPLETE.has(d.code) ? {} : absentArguments(program.getTypeChecker(), node, at)),
  };
}
const INCOMPLETE = new Set([2345, 2554, 2739, 2740, 2741]);
/** Names of arguments that can be written as they are, or in quotes. */
const WRITABLE = /^[\p{L}\p{N}$_ .:/+-]+$/u;

/**
 * The required fields that an object passed to a function does not have, and where they can be added.
 *
 * @param {any} checker
 * @param {any} node where the error is
 * @param {(offset: number) => number[]} at
 */
function absentArguments(checker, node, at) {
  let call = node;
  while (call !== undefined && !ts.isCallExpression(call)) call = ts.isBlock(call) ? undefined : call.parent;
  const parameter = call && checker.getResolvedSignature(call)?.parameters[0];
  if (parameter === undefined || call.arguments.length > 1) return {};
  const [passed] = call.arguments;
  if (passed !== undefined && !ts.isObjectLiteralExpression(passed)) return {};
  const written = passed?.properties ?? [];
  if (written.some((/** @type {any} */ one) => ts.isSpreadAssignment(one))) return {};
  const type = checker.getNonNullableType(checker.getTypeOfSymbolAtLocation(parameter, call));
  if ((type.flags & ts.TypeFlags.Object) === 0) return {};
  const known = new Set(written.map((/** @type {any} */ one) => one.name?.text));
  const names = checker.getPropertiesOfType(type)
    .filter((/** @type {any} */ one) => (one.flags & ts.SymbolFlags.Optional) === 0 && !known.has(one.name))
    .map((/** @type {any} */ one) => one.name);
  if (names.length === 0 || names.some((/** @type {string} */ name) => !WRITABLE.test(name))) return {};
  const last = written.at(-1);
  const offset = last?.end ?? (passed === undefined ? call.end - 1 : passed.getStart() + 1);
  const [line, column] = at(offset);
  return {
    absent: {
      line,
      column,
      names: names.map((/** @type {string} */ name) =>
        /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name) ? name : JSON.stringify(name)
      ),
      before: last !== undefined ? ", " : passed === undefined ? "{ " : " ",
      after: last !== undefined ? "" : passed === undefined ? " }" : " ",
    },
  };
}

/** Whether a name is set by a statement of its own, as Python declares one: `x = 5`. @param {any} node */
function isSetAlone(node) {
  const { parent } = node;
  return ts.isIdentifier(node) && ts.isBinaryExpression(parent) && parent.left === node &&
    parent.operatorToken.kind === ts.SyntaxKind.EqualsToken && ts.isExpressionStatement(parent.parent);
}

/** @param {string} text @param {number} offset */
function place(text, offset) {
  let line = 1, begin = 0;
  for (let i; (i = text.indexOf("\n", begin)) >= 0 && i < offset; begin = i + 1) line++;
  return [line, offset - begin + 1];
}

/** @param {any} source @param {number} start */
function nodeAt(source, start) {
  let node = source;
  for (;;) {
    const inner = ts.forEachChild(
      node,
      (/** @type {any} */ child) => child.getStart(source) <= start && start < child.end ? child : undefined,
    );
    if (inner === undefined) return node === source ? undefined : node;
    node = inner;
  }
}

/** @param {any} node a string */
function isSpecifier(node) {
  const parent = node.parent;
  return ts.isImportDeclaration(parent) || ts.isExportDeclaration(parent) || ts.isExternalModuleReference(parent) ||
    (ts.isLiteralTypeNode(parent) && ts.isImportTypeNode(parent.parent)) ||
    (ts.isCallExpression(parent) && parent.expression.kind === ts.SyntaxKind.ImportKeyword);
}

/**
 * What was asked for where there is no such thing, and the names there are: members of a type.
 *
 * @param {any} checker
 * @param {any} node
 * @param {number} code
 */
function alternatives(checker, node, code) {
  if (ts.isStringLiteralLike(node) && isSpecifier(node)) return { module: node.text };
  if (!NAMELESS.has(code) || !(ts.isIdentifier(node) || ts.isStringLiteral(node))) return {};
  const wanted = node.text, { parent } = node;
  let type;
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) {
    type = checker.getTypeAtLocation(parent.expression);
  } else if (ts.isElementAccessExpression(parent)) type = checker.getTypeAtLocation(parent.expression);
  else if (ts.isBindingElement(parent)) type = checker.getTypeAtLocation(parent.parent);
  else if (ts.isObjectLiteralElement(parent)) type = checker.getContextualType(parent.parent);
  if (type === undefined) return { wanted };
  const types = type.isUnion() ? type.types : [checker.getApparentType(type)];
  const all = types.flatMap((/** @type {any} */ t) => checker.getPropertiesOfType(t));
  // What tools and programs declare; what every object or array has helps nobody. Of two spellings, the first.
  const isSecond = (/** @type {any} */ s) =>
    (s.flags & ts.SymbolFlags.Alias) !== 0 && all.includes(checker.getAliasedSymbol(s));
  const members = all.filter((/** @type {any} */ s) =>
    s.declarations?.some((/** @type {any} */ at) => !at.getSourceFile().fileName.startsWith("/lib/")) && !isSecond(s)
  );
  return { wanted, names: [...new Set(members.map((/** @type {any} */ s) => s.name))].slice(0, MAX_NAMES) };
}
const NAMELESS = new Set([2304, 2305, 2339, 2353, 2503, 2551, 2552, 2561, 2694, 2724]);

// ── Editor services ─────────────────────────────────────────────────────────────────────────────────────────────

/** @param {any} params */
function complete(params) {
  const service = open(params.session).update(params), { code, offset } = params;
  let start = offset;
  while (start > 0 && /[\p{ID_Continue}$\u200c\u200d]/u.test(code[start - 1])) start--;
  const wanted = { includeCompletionsWithInsertText: true, includeSymbol: true };
  const answer = service.getCompletionsAtPosition(TYPED, offset, wanted);
  const span = answer?.optionalReplacementSpan;
  if (span !== undefined) start = span.start;
  const typed = code.slice(start, offset).replace(/^["'`]/, "").toLowerCase();
  const fitting = (answer?.entries ?? []).filter((/** @type {any} */ e) => e.name.toLowerCase().startsWith(typed));
  // As editors sort; and of a tool's two spellings, which are an alias of each other, the one that is shown elsewhere.
  const rank = (/** @type {any} */ e) => e.sortText + (e.kind === "alias" ? "2" : "1") + e.name;
  fitting.sort((/** @type {any} */ a, /** @type {any} */ b) => rank(a) < rank(b) ? -1 : 1);
  return {
    start,
    length: span === undefined ? offset - start : Math.max(span.length, offset - start),
    items: fitting.slice(0, MAX_ITEMS).map((/** @type {any} */ e, /** @type {number} */ i) => ({
      name: e.name,
      kind: e.kind,
      ...(i < MAX_DETAILED && e.symbol !== undefined ? details(service.getProgram(), e.symbol) : {}),
    })),
  };
}

/**
 * The type of a name and its description: `(args: { status: string }) → Order[]` of a function, whose result is what
 * `await` gives; `number, optional` of a field.
 *
 * @param {any} program
 * @param {any} named
 */
function details(program, named) {
  const checker = program.getTypeChecker(), source = program.getSourceFile(TYPED);
  const symbol = (named.flags & ts.SymbolFlags.Alias) === 0 ? named : checker.getAliasedSymbol(named);
  const docs = ts.displayPartsToString(symbol.getDocumentationComment(checker));
  const { Value, Module, Class, Enum, Optional } = ts.SymbolFlags;
  if ((symbol.flags & Value) === 0 || (symbol.flags & (Module | Class | Enum)) !== 0) return { docs };
  const show = (/** @type {any} */ type) =>
    checker.typeToString(type, source, ts.TypeFormatFlags.UseAliasDefinedOutsideCurrentScope);
  const type = checker.getTypeOfSymbolAtLocation(symbol, source);
  const [call] = type.getCallSignatures();
  let detail;
  if (call !== undefined) {
    const taken = call.parameters.map((/** @type {any} */ one) => {
      const at = one.valueDeclaration;
      const mark = at?.dotDotDotToken === undefined ? "" : "...";
      const isOptional = at !== undefined && ts.isParameter(at) && checker.isOptionalParameter(at) && mark === "";
      const text = show(checker.getTypeOfSymbolAtLocation(one, source));
      return `${mark}${one.name}${isOptional ? "?" : ""}: ${isOptional ? text.replace(/ \| undefined$/, "") : text}`;
    });
    const result = checker.getReturnTypeOfSignature(call);
    detail = `(${taken.join(", ")}) → ${show(checker.getAwaitedType(result) ?? result)}`;
  } else {
    const isOptional = (symbol.flags & Optional) !== 0, text = show(type);
    detail = isOptional ? `${text.replace(/ \| undefined$/, "")}, optional` : text;
  }
  if (detail.startsWith("typeof ")) return { docs };
  return { docs, detail: detail.length > MAX_DETAIL ? `${detail.slice(0, MAX_DETAIL)}…` : detail };
}

/** @param {any} params */
function hover(params) {
  documentLibraries();
  const service = open(params.session).update(params);
  const info = service.getQuickInfoAtPosition(TYPED, params.offset);
  if (info === undefined) return [];
  return [{
    start: info.textSpan.start,
    length: info.textSpan.length,
    text: ts.displayPartsToString(info.displayParts),
    docs: docs(info),
  }];
}

/** @param {any} params */
function signature(params) {
  documentLibraries();
  const service = open(params.session).update(params);
  const help = service.getSignatureHelpItems(TYPED, params.offset, undefined);
  if (help === undefined) return [];
  const show = ts.displayPartsToString;
  return [{
    signatures: help.items.map((/** @type {any} */ item) => ({
      text: show(item.prefixDisplayParts) +
        item.parameters.map((/** @type {any} */ p) => show(p.displayParts)).join(show(item.separatorDisplayParts)) +
        show(item.suffixDisplayParts),
      docs: docs(item),
      parameters: item.parameters.map((/** @type {any} */ p) => ({ text: show(p.displayParts), docs: docs(p) })),
    })),
    signature: help.selectedItemIndex,
    parameter: help.argumentIndex,
  }];
}

/** A description and its tags, as text. @param {any} item */
function docs(item) {
  const tags = (item.tags ?? []).map((/** @type {any} */ tag) =>
    `@${tag.name} ${ts.displayPartsToString(tag.text ?? [])}`.trim()
  );
  return [ts.displayPartsToString(item.documentation ?? []), ...tags].filter((line) => line !== "").join("\n");
}

// ── Lines in, lines out ─────────────────────────────────────────────────────────────────────────────────────────

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
  deadline = performance.now() + (params.budget_ms ?? Infinity);
  try {
    send({ id, result: methods[method](params) });
  } catch (error) {
    const { name, message } = /** @type {Error} */ (error ?? {});
    const timely = !(error instanceof ts.OperationCanceledException);
    send({
      id,
      error: { code: timely ? -32603 : -32003, message: timely ? `${name}: ${message}`.slice(0, 300) : "time" },
    });
    if (timely) sessions.get(params.session)?.recover();
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
