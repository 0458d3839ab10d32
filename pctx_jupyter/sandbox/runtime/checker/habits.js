// @ts-check
/**
 * What TypeScript lets pass, and what gives another value than people expect who know Python: warnings, since a program
 * may mean it.
 */

import { ts } from "./compiler.js";

/** The number, of ours, of these findings. */
const CODE = 9001;

/**
 * A search for a value in a list by `in`, an index that counts from the end, a list of numbers that is sorted as texts.
 *
 * @param {any} checker
 * @param {any} source
 */
export function habits(checker, source) {
  /** @type {any[]} */
  const found = [];
  const typeOf = (/** @type {any} */ node) => checker.getTypeAtLocation(node);
  const isList = (/** @type {any} */ type) => checker.isArrayType(type) || checker.isTupleType(type);
  /** Whether all values of a type are of a kind. @param {any} type @param {number} flags @returns {boolean} */
  const areAll = (type, flags) =>
    type.isUnion() ? type.types.every((/** @type {any} */ one) => areAll(one, flags)) : (type.flags & flags) !== 0;
  const text = (/** @type {any} */ node) => node.getText(source).slice(0, MAX_TEXT);

  /** @param {any} node */
  const ofIn = (node) => {
    if (!isList(typeOf(node.right))) return undefined;
    const { left } = node;
    if (!ts.isNumericLiteral(left) && !areAll(typeOf(left), ts.TypeFlags.StringLike)) return undefined;
    const instead = `${text(node.right)}.includes(${text(left)})`;
    return `'in' looks at the indexes of a list, and not at its values. Write ${instead}`;
  };
  /** @param {any} node */
  const ofIndex = (node) => {
    const { argumentExpression: index, expression } = node, type = typeOf(expression);
    if (!ts.isPrefixUnaryExpression(index) || index.operator !== ts.SyntaxKind.MinusToken) return undefined;
    if (!ts.isNumericLiteral(index.operand)) return undefined;
    if (!checker.isArrayType(type) && !areAll(type, ts.TypeFlags.StringLike)) return undefined;
    return `An index does not count from the end, so this is undefined. Write ${text(expression)}.at(${text(index)})`;
  };
  /** @param {any} node */
  const ofSort = (node) => {
    const callee = node.expression;
    if (node.arguments.length > 0 || !ts.isPropertyAccessExpression(callee)) return undefined;
    const name = callee.name.text, type = typeOf(callee.expression);
    if (name !== "sort" && name !== "toSorted" || !checker.isArrayType(type)) return undefined;
    if (!areAll(checker.getTypeArguments(type)[0], ts.TypeFlags.NumberLike)) return undefined;
    return `${name}() sorts numbers as texts, so 10 is before 9. Write ${name}((a, b) => a - b)`;
  };
  /** @param {any} node */
  const messageOf = (node) => {
    if (ts.isElementAccessExpression(node)) return ofIndex(node);
    if (ts.isCallExpression(node)) return ofSort(node);
    return ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.InKeyword ? ofIn(node) : undefined;
  };
  const visit = (/** @type {any} */ node) => {
    const messageText = messageOf(node);
    if (messageText !== undefined) {
      const start = node.getStart(source);
      found.push({ file: source, start, length: node.end - start, code: CODE, messageText, isWarning: true });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** Characters of an expression that a message repeats. */
const MAX_TEXT = 40;
