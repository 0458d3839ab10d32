// @ts-check
/**
 * The errors that a program has, and those of TypeScript's that are none here: programs may be plain JavaScript.
 */

import { ts } from "./compiler.js";
import { nodeAt } from "./nodes.js";
import { parse } from "./outline.js";

/** @param {any} service @param {string} name @param {any} source @returns {any[]} */
export function errors(service, name, source) {
  return service.getSemanticDiagnostics(name).filter((/** @type {any} */ d) =>
    d.category === ts.DiagnosticCategory.Error && d.file !== undefined && !isImplicitAny(d) && !isOption(source, d)
  );
}

/** @param {any} d */
export const textOf = (d) => ts.flattenDiagnosticMessageText(d.messageText, "\n");

/**
 * The errors of `noImplicitAny`, and of `this` without a type; but to index a promise is none of them.
 *
 * @param {any} d
 */
const isImplicitAny = (d) => d.code === 2683 || (d.code >= 7000 && d.code < 8000 && !isIndexedPromise(d));

/** @param {any} d */
export const isIndexedPromise = (d) =>
  (d.code === 7052 || d.code === 7053) && /type '(typeof )?Promise</.test(textOf(d));

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
export function mayBeIdiom(checker, source, d) {
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
export function certainly(checker, source) {
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

/** What to say of a program that is none because it has JSX. @param {any} source @returns {any[] | undefined} */
export function inJSX(source) {
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
