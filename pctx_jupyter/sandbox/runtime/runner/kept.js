// @ts-check
/**
 * Constants that pass from one program to later ones: defined before a run, captured after it.
 */

import {
  BlobC,
  createObjectURL,
  defineProperty,
  ErrorC,
  G,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  hasOwn,
  isArray,
  keys,
  ObjectPrototype,
  set,
  stringify,
} from "./captured.js";
import { headline, nameModule, textOf } from "./errors.js";
import { MAX_DEPTH } from "./depth.js";
import { unmarked } from "./numbers.js";
import { encode } from "./encode.js";
import { framedWithin, isHandle, isLikeHandle } from "./frames.js";

/**
 * Define the constants that were kept from an earlier program. A declaration of the program hides one of that name.
 *
 * @param {{name: string, names: string[], code: string, values: Record<string, unknown>}} cell
 */
export async function revive(cell) {
  const url = createObjectURL(new BlobC([cell.code], { type: "application/typescript" }));
  nameModule(url, cell.name);
  try {
    const names = keys(cell.values);
    for (let i = 0; i < names.length; i++) set(cell.values, names[i], framedWithin(unmarked(cell.values[names[i]])));
    set(G, "__pctx_kept", cell.values);
    const module = await import(url);
    delete G.__pctx_kept;
    for (let i = 0; i < cell.names.length; i++) {
      const name = cell.names[i];
      // An input of that name hides it, too.
      if (!hasOwn(G, name) || isConfigurable(name)) {
        defineProperty(G, name, /** @type {any} */ ({ __proto__: null, value: module[name], configurable: true }));
      }
    }
  } catch (error) {
    let listed = "";
    for (let i = 0; i < cell.names.length; i++) listed += (i === 0 ? "" : " ") + cell.names[i];
    throw new ErrorC(
      "Cannot use what is kept of an earlier program (" + headline(error) + "); %pctx forget " + listed,
    );
  }
}

/** @param {string} name of a global */
const isConfigurable = (name) => getOwnPropertyDescriptor(G, name)?.configurable === true;

/**
 * Why a value cannot be given to later programs as it is; undefined: it can.
 *
 * @param {any} value
 * @param {number} depth
 * @returns {string | undefined}
 */
function unfit(value, depth) {
  if (value === null) return undefined;
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined;
    case "number":
      return undefined;
    case "object":
      break;
    default:
      return typeof value === "undefined" ? "undefined has no JSON form" : "a " + typeof value + " has no JSON form";
  }
  if (isHandle(value)) return undefined;
  if (isLikeHandle(value)) return "its only key, $pctx.frame, stands for an object of the notebook";
  if (depth >= MAX_DEPTH) return "it is a cycle, or nested too deeply";
  const above = getPrototypeOf(value), isList = isArray(value);
  if (!isList && above !== ObjectPrototype && above !== null) return kindOf(value) + " has no JSON form";
  const names = keys(value);
  for (let i = 0; i < names.length; i++) {
    const item = value[names[i]];
    if (item === undefined && !isList) continue;
    const why = unfit(item, depth + 1);
    if (why !== undefined) return why;
  }
  return undefined;
}

/** @param {any} value */
function kindOf(value) {
  const name = textOf(value.constructor, "name") || "an object of a class";
  return name === "Promise" ? "a Promise (await it)" : "a " + name;
}

/**
 * The constants of a program that has ended, and which of them cannot be kept.
 *
 * @param {any} constants by name
 * @returns {string} JSON
 */
export function capture(constants) {
  let values = "", refused = "";
  const names = keys(constants);
  for (let i = 0; i < names.length; i++) {
    const key = stringify(names[i]) + ":";
    let why, text = "";
    try {
      why = unfit(constants[names[i]], 0);
      if (why === undefined) text = encode(constants[names[i]], names[i]);
    } catch (error) {
      why = "it cannot be read (" + headline(error) + ")";
    }
    if (why === undefined) values += (values === "" ? "" : ",") + key + text;
    else refused += (refused === "" ? "" : ",") + key + stringify(why);
  }
  return '{"values":{' + values + '},"refused":{' + refused + "}}";
}
