// @ts-check
/**
 * The type checker: TypeScript's LanguageService over files that exist in memory alone, asked on stdin and answered on
 * stdout in JSON-RPC 2.0, one message a line, one after the other.
 *
 * It knows TypeScript; it refuses to know what a tool is, how long an answer may take or what the messages should say
 * to people: the host decides. It has no permission and opens nothing; no import is resolved.
 *
 *     >  {"method":"ready","params":{"left":[],"typescript":"6.0.3"}}
 *     <  {"id":1,"method":"check","params":{session, code, budget_ms?, declarations?, globals?, keep?}}
 *     >  {"id":1,"result":{"found":[…],"more":false,"kept":"…"}}    `kept`: declarations of what `keep` names
 *     <  "complete", "hover" or "signature" with {…, offset}
 *     >  {start, length, items: [{name, kind}]}, [{start, length, text, docs}] or [{signatures, signature, parameter}]
 *     <  "verify" with {declarations}: what is wrong with the declarations themselves
 *     <  {"method":"forget","params":{session}}
 *
 * `declarations` (of tools) and `globals` (of inputs) are scripts that declare; they stay until the next ones. `session`
 * is a name of the host's making: nobody's files are seen by another's. Offsets are UTF-16 units; lines and columns are
 * 1-based, and only a line feed ends a line, as the host counts.
 */

import compiler from "./vendor/typescript.min.json" with { type: "json" };
import libs from "./vendor/libs.json" with { type: "json" };
import globals from "./globals.d.ts" with { type: "text" };

/** Diagnostics an answer holds. */
const MAX_FOUND = 10;
/** Of these, syntax errors: further ones mostly follow from the first. */
const MAX_SYNTAX = 3;
/** Completions an answer holds. */
const MAX_ITEMS = 200;
/** Names told where one does not exist. */
const MAX_NAMES = 200;
/** Levels into a program's value at which a promise is looked for. */
const MAX_DEPTH = 3;

// As a text it is ready in a third of the time a module takes.
const loaded = { exports: /** @type {any} */ ({}) };
new Function("module", "exports", "require", "process", "__filename", "__dirname", compiler)(
  loaded,
  loaded.exports,
  undefined,
  undefined,
  "/typescript.js",
  "/",
);
const ts = loaded.exports;

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

/** A text as the compiler wants to have it: what changed since, it is never told. */
class File {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.version = String(++versions);
    this.snapshot = ts.ScriptSnapshot.fromString(text);
  }
}

/** @type {Map<string, File>} what every session sees */
const common = new Map([["/globals.d.ts", new File(globals)]]);
for (const [name, text] of Object.entries(libs)) common.set("/lib/" + name, new File(/** @type {string} */ (text)));
const commonNames = [...common.keys()];

const registry = ts.createDocumentRegistry(true, "/");

/** When what runs now has to stop, by the clock of `performance`. */
let deadline = Infinity;

/** What a program's file is called when it is read as TypeScript, and as JavaScript; and among a session's files. */
const TYPED = "/program.ts", PLAIN = "/program.js", PROGRAM = "program";

/** One session's files, and the services that know them: one reads a program as TypeScript, one as JavaScript. */
class Session {
  constructor() {
    /** @type {Map<string, File>} */
    this.files = new Map();
    this.typed = this.open(OPTIONS, TYPED);
    /** @type {any} made when it is needed */
    this.plain = undefined;
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

  /** @param {any} params */
  update({ code, declarations, globals }) {
    if (declarations !== undefined) this.set("/tools.d.ts", declarations);
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
 * What is wrong with a program, in the order of its text.
 *
 * @param {any} params
 */
function check(params) {
  const session = open(params.session), service = session.update(params);
  const syntax = service.getSyntacticDiagnostics(TYPED);
  let program = service.getProgram(), source = program.getSourceFile(TYPED);
  if (syntax.length > 0) return answer(program, source, syntax, MAX_SYNTAX);
  const kept = params.keep === undefined ? undefined : declare(session, params.code, params.keep);
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
  return { ...answer(program, source, [...found, ...forgotten], MAX_FOUND), kept };
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
 * Promises used as values where TypeScript allows any value: put into a text, printed, returned inside an object.
 *
 * @param {any} checker
 * @param {any} source
 */
function promises(checker, source) {
  /** @type {any[]} */
  const found = [];
  const isPromise = (/** @type {any} */ type) =>
    (type.symbol?.name === "Promise" &&
      type.symbol.declarations?.some((/** @type {any} */ d) => d.getSourceFile() !== source)) ||
    (type.isUnion() && type.types.some(isPromise));
  const report = (/** @type {any} */ node) => {
    const start = node.getStart(source);
    found.push({
      file: source,
      start,
      length: node.end - start,
      code: 2801,
      category: ts.DiagnosticCategory.Error,
      messageText: FORGOTTEN,
      awaits: true,
    });
  };
  const demand = (/** @type {any} */ node) => {
    if (isPromise(checker.getTypeAtLocation(node))) report(node);
  };
  /** Looks into what becomes JSON: there a promise is `{}`. */
  const demandIn = (/** @type {any} */ node, depth = 0) => {
    while (ts.isParenthesizedExpression(node)) node = node.expression;
    if (depth > MAX_DEPTH) return;
    if (ts.isObjectLiteralExpression(node)) {
      for (const property of node.properties) {
        if (ts.isPropertyAssignment(property)) demandIn(property.initializer, depth + 1);
        else if (ts.isShorthandPropertyAssignment(property)) {
          const symbol = checker.getShorthandAssignmentValueSymbol(property);
          if (symbol && isPromise(checker.getTypeOfSymbolAtLocation(symbol, property))) report(property.name);
        }
      }
    } else if (ts.isArrayLiteralExpression(node)) {
      for (const element of node.elements) if (!ts.isSpreadElement(element)) demandIn(element, depth + 1);
    } else if (depth > 0) demand(node);
    else {
      const type = checker.getTypeAtLocation(node);
      if (checker.isArrayType(type) && checker.getTypeArguments(type).some(isPromise)) report(node);
    }
  };
  const visit = (/** @type {any} */ node) => {
    if (ts.isTemplateSpan(node)) {
      if (!ts.isTaggedTemplateExpression(node.parent.parent)) demand(node.expression);
    } else if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
      demand(node.left);
      demand(node.right);
    } else if (ts.isCallExpression(node) && takesValues(node.expression)) {
      for (const argument of node.arguments) {
        demand(argument);
        demandIn(argument);
      }
    } else if (ts.isExportAssignment(node)) demandIn(node.expression);
    else if (ts.isReturnStatement(node) && node.expression !== undefined) {
      if (isRun(ts.findAncestor(node, ts.isFunctionLike))) demandIn(node.expression);
    } else if (ts.isArrowFunction(node) && !ts.isBlock(node.body) && isRun(node)) demandIn(node.body);
    ts.forEachChild(node, visit);
  };
  visit(source);
  const last = source.statements.findLast((/** @type {any} */ s) => ts.isExpressionStatement(s));
  if (last !== undefined) demandIn(last.expression);
  return found;
}

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
 */
function answer(program, source, found, most) {
  const ordered = [...found].sort((a, b) => a.start - b.start || a.code - b.code);
  const distinct = ordered.filter((d, i) => i === 0 || d.start !== ordered[i - 1].start);
  return { found: distinct.slice(0, most).map((d) => describe(program, source, d)), more: distinct.length > most };
}

/**
 * @param {any} program
 * @param {any} source
 * @param {any} d
 */
function describe(program, source, d) {
  const { text } = source, node = nodeAt(source, d.start);
  const [line, column] = place(text, d.start),
    [endLine, endColumn] = place(text, Math.min(d.start + d.length, text.length));
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
    ...(node === undefined ? {} : alternatives(program.getTypeChecker(), node, d.code)),
  };
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

/** What is wrong with declarations. @param {any} params */
function verify({ declarations }) {
  const session = new Session(), service = session.typed, name = "/tools.d.ts";
  try {
    session.set(name, declarations || " ");
    const all = [...service.getSyntacticDiagnostics(name), ...service.getSemanticDiagnostics(name)];
    const program = service.getProgram();
    return answer(program, program.getSourceFile(name), all, MAX_FOUND);
  } finally {
    service.dispose();
  }
}

// ── Editor services ─────────────────────────────────────────────────────────────────────────────────────────────

/** @param {any} params */
function complete(params) {
  const service = open(params.session).update(params), { code, offset } = params;
  let start = offset;
  while (start > 0 && /[\p{ID_Continue}$\u200c\u200d]/u.test(code[start - 1])) start--;
  const answer = service.getCompletionsAtPosition(TYPED, offset, { includeCompletionsWithInsertText: true });
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
    items: fitting.slice(0, MAX_ITEMS).map((/** @type {any} */ e) => ({ name: e.name, kind: e.kind })),
  };
}

/** @param {any} params */
function hover(params) {
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
const methods = { check, complete, hover, signature, verify };

const encoder = new TextEncoder();

/** @param {any} message */
function send(message) {
  const bytes = encoder.encode(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n");
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

/** @param {any} message */
function receive({ id, method, params }) {
  if (method === "forget") return forget(params.session);
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
