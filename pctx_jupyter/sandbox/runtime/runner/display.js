// @ts-check
/**
 * What the program shows in the cell: charts, images, HTML and `Deno.jupyter`, up to a limit.
 */

import {
  ArrayBufferC,
  arrayLength,
  defineProperty,
  freeze,
  getPrototypeOf,
  hasOwn,
  indexOf,
  inspect,
  isArray,
  keys,
  ObjectPrototype,
  RangeErrorC,
  regExpExec,
  slice,
  stringify,
  toBase64,
  toWellFormed,
  TypeErrorC,
  Uint8ArrayC,
  uncurry,
  weakGet,
  weakSet,
} from "./captured.js";
import { CHUNK, encodePart, notify } from "./lines.js";
import { encode } from "./encode.js";

/** Bytes the program may display, and what is left of them. */
let displayBytes = 0, displayBudget = 0;

/** @param {number} bytes that the program may display */
export const limitDisplays = (bytes) => {
  displayBudget = displayBytes = bytes;
};

/** Bytes a display counts for beyond its content: each is a message, and an output of the cell. */
const DISPLAY_COST = 256;

const $display = Symbol.for("Jupyter.display");
/** The MIME type of a value that is shown as the program's own value would be. */
const VALUE_TYPE = "application/vnd.pctx.value+json";
const VEGA = /^https:\/\/vega\.github\.io\/schema\/(vega|vega-lite)\/v(\d)/;

/** The text of what tagged templates have made, so that one can be inserted into another. */
const texts = new WeakMap();

/** @param {any} bundle */
const displayable = (bundle) =>
  defineProperty({}, $display, /** @type {any} */ ({ __proto__: null, value: () => bundle }));

/** @param {unknown} value @returns {string} */
function inserted(value) {
  if (value === undefined || value === null) return "";
  if (typeof value === "object") {
    const text = weakGet(texts, value);
    if (text !== undefined) return text;
    if (isArray(value)) {
      let all = "";
      for (let i = 0; i < value.length; i++) all += inserted(value[i]);
      return all;
    }
  }
  return "" + value;
}

/** @param {string} type @returns {(strings: readonly string[], ...values: unknown[]) => object} */
const template = (type) => (strings, ...values) => {
  let text = "";
  for (let i = 0; i < strings.length; i++) text += strings[i] + (i < values.length ? inserted(values[i]) : "");
  const made = displayable({ [type]: text });
  weakSet(texts, made, text);
  return made;
};

/**
 * The MIME type of an image, by its first bytes.
 *
 * @param {any} value
 * @returns {string | undefined} undefined: it is none, or no bytes
 */
function imageType(value) {
  let start = "";
  try {
    // Throws for what is no typed array, or is one of larger numbers.
    if (arrayLength(value) < 12 || value.BYTES_PER_ELEMENT !== 1) return undefined;
    start = toBase64(new Uint8ArrayC(value.buffer, value.byteOffset, 3));
  } catch {
    return undefined;
  }
  return imageTypeOf(start);
}

/** @param {string} data its base64 text, or the beginning of that */
function imageTypeOf(data) {
  const known = { iVBO: "image/png", "/9j/": "image/jpeg", R0lG: "image/gif", UklG: "image/webp" };
  const start = slice(data, 0, 4);
  return hasOwn(known, start) ? /** @type {any} */ (known)[start] : undefined;
}

const DATA_URL = /^data:(image\/[a-z+]+);base64,/;

/** @param {any} data */
function image(data) {
  if (data instanceof ArrayBufferC) data = new Uint8ArrayC(data);
  const type = imageType(data);
  if (type !== undefined) return displayable({ [type]: toBase64(data) });
  if (typeof data === "string") {
    const head = regExpExec(DATA_URL, data);
    if (head !== null) return displayable({ [head[1]]: slice(data, head[0].length) });
    const known = imageTypeOf(data);
    if (known !== undefined) return displayable({ [known]: data });
  }
  throw new TypeErrorC(
    "Cannot show image: it must be the bytes of a PNG, JPEG, GIF or WebP, their base64 text, or a data: URL",
  );
}

/**
 * The look of a value that has one of its own: one with the display method, a chart, an image or an element.
 *
 * @param {any} value
 * @returns {any} a bundle, or a promise of one; undefined: it has none
 */
function lookOf(value) {
  if (typeof value !== "object" || value === null) return undefined;
  if (typeof value[$display] === "function") return uncurry(value[$display])(value);
  const type = imageType(value);
  if (type !== undefined) return { [type]: toBase64(value) };
  const spec = typeof value.toSpec === "function" ? uncurry(value.toSpec)(value) : value;
  if (typeof spec === "object" && spec !== null && typeof spec.$schema === "string") {
    const found = regExpExec(VEGA, spec.$schema);
    if (found !== null) {
      return { ["application/vnd." + (found[1] === "vega" ? "vega" : "vegalite") + ".v" + found[2] + "+json"]: spec };
    }
  }
  // A row of data may have such a property; an element is of a class of its own.
  if (typeof value.outerHTML === "string" && getPrototypeOf(value) !== ObjectPrototype) {
    const html = value.outerHTML;
    return { [indexOf(html, "<svg") === 0 ? "image/svg+xml" : "text/html"]: html };
  }
  return undefined;
}

/** @param {any} value any at all */
function plainLook(value) {
  const text = inspect(value, { depth: 4 });
  return typeof value === "object" && value !== null
    ? { "text/plain": text, [VALUE_TYPE]: value }
    : { "text/plain": text };
}

/** @param {any} made @param {string} name */
const isThenable = (made, name = "then") =>
  typeof made === "object" && made !== null && typeof made[name] === "function";

/** @param {unknown} value */
async function format(value) {
  const look = lookOf(value);
  return (isThenable(look) ? await look : look) ?? plainLook(value);
}

/**
 * Send one display.
 *
 * @param {any} bundle content by MIME type
 * @param {string} more further members, as JSON
 * @param {boolean} isValue whether nothing is lost when it is too large
 */
function show(bundle, more, isValue = false) {
  if (typeof bundle !== "object" || bundle === null || isArray(bundle)) {
    throw new TypeErrorC("Cannot display: what is shown must be an object with MIME types as its keys");
  }
  let data = "";
  const types = keys(bundle);
  for (let i = 0; i < types.length; i++) {
    const type = types[i], content = bundle[type];
    if (content === undefined) continue;
    try {
      const written = encode(imageType(content) === undefined ? content : toBase64(content), type, type === VALUE_TYPE);
      data += (data === "" ? "" : ",") + stringify(toWellFormed(type)) + ":" + written;
    } catch (error) {
      if (type !== VALUE_TYPE) throw error; // A cycle, for example. Its text is shown.
    }
  }
  const params = '{"data":{' + data + "}" + more + "}";
  let bytes = DISPLAY_COST;
  for (let at = 0; at < params.length;) {
    const part = encodePart(params, at, CHUNK);
    at += part.read;
    bytes += part.written;
  }
  if (bytes > displayBudget) {
    if (isValue) return;
    throw new RangeErrorC(
      "Cannot display: a program may show " + displayBytes + " bytes in all (Pctx.max_display_bytes); show less",
    );
  }
  displayBudget -= bytes;
  notify("display", params);
}

/** @param {any} id @param {any} update */
const named = (id, update) =>
  (id === undefined || id === null ? "" : ',"display_id":' + stringify(toWellFormed("" + id))) +
  (update ? ',"update":true' : "");

/**
 * Show something in the cell, at once unless its look is promised.
 *
 * @param {any} value
 * @param {{raw?: boolean, display_id?: string, update?: boolean}} [options] `raw`: it is a bundle already
 */
async function display(value, options) {
  const look = options?.raw ? value : lookOf(value) ?? plainLook(value);
  const more = named(options?.display_id, options?.update);
  show(isThenable(look) ? await look : look, more);
}

/** @param {string} type @param {any} content of that message @param {any} [extra] */
async function broadcast(type, content, extra) {
  if (type !== "display_data" && type !== "update_display_data") {
    throw new TypeErrorC("Cannot broadcast " + type + ": a program can send display_data and update_display_data");
  }
  const metadata = content.metadata ?? extra?.metadata;
  const more = metadata === undefined ? "" : ',"metadata":' + encode(metadata, "metadata", false);
  const data = isThenable(content.data) ? await content.data : content.data;
  show(data, more + named(content.transient?.display_id, type !== "display_data"));
}

/** @param {any} value the program's */
export async function displayValue(value) {
  const look = lookOf(value);
  if (look === undefined || look === null) return;
  show(isThenable(look) ? await look : look, ',"is_value":true', true);
}

/** As in Deno's own kernel; nothing else of `Deno` is left. Without prototypes, so that nothing can be put into it. */
export const jupyter = freeze({
  __proto__: null,
  $display,
  broadcast,
  display,
  format,
  html: template("text/html"),
  image,
  md: template("text/markdown"),
  svg: template("image/svg+xml"),
});
