// @ts-check
/**
 * The top level of a program: its value, what it declares and exports, and what later programs may find of it.
 */

import { ts } from "./compiler.js";
import { TYPED } from "./sessions.js";

/** @param {string} code @param {string} [name] */
export const parse = (code, name = TYPED) => ts.createSourceFile(name, code, ts.ScriptTarget.ESNext, true);

/** What is put before a record at the end, so that it is read as one whatever stands before. */
export const OPENED = ";(";

/** Statements at the end of a program with a syntax error among which a record is looked for. */
const MAX_LAST = 8;

/** @param {string} code @param {[number, number]} record */
export const withParentheses = (code, [start, end]) =>
  `${code.slice(0, start)}${OPENED}${code.slice(start, end)})${code.slice(end)}`;

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
export function recordAtTheEnd(source, isBlock) {
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
export function outline(source, record) {
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
export function unexported(shape, keep) {
  const isKept = (/** @type {string} */ name) => name !== "run" && name !== "default";
  const exported = Object.keys(shape.exports);
  if (exported.length > 0) return exported.some(isKept) ? [] : undefined;
  const names = [...shape.values, ...shape.types].filter(isKept);
  return keep && names.length > 0 ? [...new Set(names)] : undefined;
}

/**
 * Declare the top level of a program, as the members of an ambient namespace: exact types, and no values.
 *
 * @param {import("./sessions.js").Session} session
 * @param {string} code
 * @param {string[]} names of its top level, which it does not export itself
 */
export function declare(session, code, names) {
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
