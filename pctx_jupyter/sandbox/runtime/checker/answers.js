// @ts-check
/**
 * What is said of a finding: where it is, which names there are, and what a call lacks.
 */

import { ts } from "./compiler.js";
import { isIndexedPromise, textOf } from "./findings.js";
import { nodeAt, place } from "./nodes.js";
import { OPENED } from "./outline.js";

/** Names that an answer lists where one does not exist. */
const MAX_NAMES = 200;

/**
 * @param {any} program
 * @param {any} source
 * @param {any[]} found
 * @param {number} most
 * @param {[number, number]} [record] where the code as it was sent ends with an object without parentheses
 */
export function answer(program, source, found, most, record) {
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
    ...(d.isWarning === true ? { warns: true } : {}),
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
  if (checker.isArrayType(type) && checker.getPropertyOfType(checker.getTypeArguments(type)[0], wanted)) {
    return { wanted, in_elements: true };
  }
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
