// @ts-check
/**
 * The globals of one run: its tools, its inputs, and the functions that call a tool by its name.
 */

import {
  create,
  defineProperty,
  freeze,
  G,
  hasOwn,
  keys,
  lastIndexOf,
  ownKeys,
  slice,
  TypeErrorC,
} from "./captured.js";
import { REFUSED } from "./forms.js";
import { unmarked } from "./numbers.js";
import { warnOfRounding } from "./rounding.js";
import { call } from "./calls.js";
import { framed, INPUTS_PATH, openFrame } from "./frames.js";

/**
 * Define what the program finds: tools, inputs and the functions that call a tool by its name.
 *
 * @param {Record<string, Record<string, string>>} namespaces global name → property → canonical path
 * @param {Record<string, unknown>} inputs
 * @param {Array<Record<string, unknown>> | undefined} functions what `list_functions` returns; undefined: names alone
 * @param {string} line the message
 */
export function install(namespaces, inputs, functions, line) {
  const paths = create(null);
  // Every spelling of a full name, with its canonical path.
  const spelled = create(null);
  for (const namespace of /** @type {string[]} */ (ownKeys(namespaces))) {
    const tools = namespaces[namespace], old = hasOwn(G, namespace) ? G[namespace] : undefined;
    // `Math.add` stands next to `Math.max`: a namespace with the name of a built-in extends it.
    const extended = typeof old === "function" || typeof old === "object" && old !== null ? old : undefined;
    const target = extended ?? create(null);
    for (const name of /** @type {string[]} */ (ownKeys(tools))) {
      const path = tools[name];
      const tool = (/** @type {unknown} */ args) => call(path, args);
      define(target, name, tool, "tool " + path);
      paths[path] = true;
      spelled[namespace + "." + name] = path;
    }
    if (extended === undefined) define(G, namespace, freeze(target), "namespace " + namespace);
  }
  const list = () => keys(paths);
  const execute = (/** @type {unknown} */ name, /** @type {unknown} */ args) => {
    if (typeof name !== "string") throw new TypeErrorC("Cannot call a tool: its name must be a text");
    return call(hasOwn(spelled, name) ? spelled[name] : name, args);
  };
  const invoke = (/** @type {unknown} */ wanted) => {
    if (typeof wanted !== "object" || wanted === null) {
      throw new TypeErrorC('Cannot invoke: it takes one object, such as {name: "Ns.name", arguments: {}}');
    }
    const { name, arguments: args } = /** @type {Record<string, unknown>} */ (wanted);
    return execute(name, args);
  };
  const callable = create(null);
  define(callable, "execute", execute, "");
  define(callable, "list", list, "");
  for (const name of /** @type {string[]} */ (ownKeys(inputs))) {
    const value = unmarked(inputs[name]);
    define(G, name, framed(value, INPUTS_PATH), "input " + name);
    warnOfRounding(line, value, ["params", "inputs", name], name, "Pass it as text: str(\u2026)");
  }
  if (!hasOwn(G, "CALLABLE_TOOLS")) define(G, "CALLABLE_TOOLS", freeze(callable), "");
  if (!hasOwn(G, "invoke")) {
    // An earlier program may have left a function of this name: then that one counts.
    defineProperty(G, "invoke", { value: invoke, enumerable: true, configurable: true, writable: false });
  }
  if (!hasOwn(G, "openFrame")) define(G, "openFrame", openFrame, "");
  if (!hasOwn(G, "list_functions")) {
    define(G, "list_functions", () => describedFunctions(functions ?? namesAlone(list())), "");
  }
}

/**
 * The functions of full names, about which nothing else is known.
 *
 * @param {string[]} paths
 */
function namesAlone(paths) {
  const found = [];
  for (let i = 0; i < paths.length; i++) {
    const dot = lastIndexOf(paths[i], ".");
    found[i] = { name: slice(paths[i], dot + 1), namespace: slice(paths[i], 0, dot), description: "" };
  }
  return found;
}

/**
 * Copies of descriptions of functions. As a text, each is the full name of its function.
 *
 * @param {Array<Record<string, unknown>>} functions
 */
function describedFunctions(functions) {
  const found = [];
  for (let i = 0; i < functions.length; i++) {
    const { name, namespace, description, input_schema, output_schema } = functions[i];
    const one = { name, namespace, description, input_schema, output_schema };
    const path = namespace === "" ? name : namespace + "." + name;
    found[i] = defineProperty(one, "toString", { value: () => path, enumerable: false });
  }
  return found;
}

/** @param {object} target @param {string} name @param {unknown} value @param {string} what for the error */
function define(target, name, value, what) {
  try {
    // A tool in place of `Math.floor` would change what programs and libraries mean by it.
    if (target !== G && name in target) throw REFUSED;
    defineProperty(target, name, { value, enumerable: true, configurable: false, writable: false });
  } catch {
    throw new TypeErrorC("Cannot define " + what + ": JavaScript has a property of that name; choose another name");
  }
}
