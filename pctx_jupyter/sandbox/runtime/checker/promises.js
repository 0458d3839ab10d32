// @ts-check
/**
 * Promises that nobody awaits, where TypeScript allows any value.
 */

import { ts } from "./compiler.js";
import { TOOLS } from "./sessions.js";

/** Levels into a program's value at which a promise is looked for. */
const MAX_DEPTH = 3;

const FORGOTTEN = "This is a Promise, and not its value";
/** Follows the name of a method of arrays. */
const TRUE = " takes every Promise for true. Get the values first: " +
  "const found = await Promise.all(xs.map(async (x) => \u2026))";
/** Methods of arrays that ask a function of each element for a truth value. */
const ASKING = new Set(["every", "filter", "find", "findIndex", "findLast", "findLastIndex", "some"]);

/**
 * Promises used as values where TypeScript allows any value: put into a text, printed, returned or given to a tool
 * inside an object.
 *
 * @param {any} checker
 * @param {any} source
 */
export function promises(checker, source) {
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
  const report = (/** @type {any} */ node, /** @type {string} */ promised, /** @type {string} */ method = "") => {
    const start = node.getStart(source);
    found.push({
      file: source,
      start,
      length: node.end - start,
      code: 2801,
      category: ts.DiagnosticCategory.Error,
      messageText: method === "" ? FORGOTTEN : method + TRUE,
      awaits: method === "",
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
  /** Whether an array asks a function for truth values that returns promises. @param {any} call */
  const asksForTruth = ({ expression: callee, arguments: [asked] }) => {
    if (asked === undefined || !ts.isPropertyAccessExpression(callee) || !ASKING.has(callee.name.text)) return false;
    const owner = checker.getTypeAtLocation(callee.expression);
    if (!checker.isArrayType(owner) && !checker.isTupleType(owner)) return false;
    return checker.getTypeAtLocation(asked).getCallSignatures()
      .some((/** @type {any} */ signature) => isPromise(checker.getReturnTypeOfSignature(signature)));
  };
  const visit = (/** @type {any} */ node) => {
    if (ts.isTemplateSpan(node)) {
      if (!ts.isTaggedTemplateExpression(node.parent.parent)) demand(node.expression);
    } else if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
      demand(node.left);
      demand(node.right);
    } else if (ts.isSpreadAssignment(node)) demand(node.expression);
    else if (ts.isCallExpression(node) && takesFields(node.expression)) {
      for (const argument of node.arguments) demand(argument);
    } else if (ts.isCallExpression(node) && asksForTruth(node)) {
      report(node.arguments[0], "", node.expression.name.text);
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

/** Whether a function reads the fields of its arguments. @param {any} callee */
const takesFields = (callee) =>
  ts.isPropertyAccessExpression(callee) && ts.isIdentifier(callee.expression) && callee.expression.text === "Object" &&
  /^(assign|entries|keys|values)$/.test(callee.name.text);

/** Whether a function is the program's `run`, which returns its value. @param {any} node */
function isRun(node) {
  if (node === undefined) return false;
  const named = ts.isFunctionDeclaration(node) ? node : node.parent;
  const owner = ts.isVariableDeclaration(named) ? named.parent.parent.parent : named.parent;
  return named.name !== undefined && ts.isIdentifier(named.name) && named.name.text === "run" && ts.isSourceFile(owner);
}
