// @ts-check
/**
 * Frames and other handles: objects that stay in their notebook. A frame is an id and the steps that the program has added
 * to it; a result is asked for by one call of the tool that returned the frame. It does not know how calls are sent.
 *
 * In JSON a frame is `{"$pctx.frame":{"id":"path#id","steps":[…],"columns":[…]}}`. `rpc/marks.py` has the rules.
 */

import {
  $asyncIterator,
  BigInt64ArrayC,
  bufferLength,
  create,
  Float64ArrayC,
  freeze,
  fromBase64,
  hasOwn,
  indexOf,
  isArray,
  keys,
  ProxyC,
  set,
  slice,
  toISOString,
  TypeErrorC,
  Uint8ArrayC,
  weakGet,
  weakSet,
} from "./captured.js";

/** The only key of a handle. */
const FRAME = "$pctx.frame";
/**
 * The tool that serves what a cell passes in. The ids of inputs name it, but data can have the form of a handle, too:
 * its id must not choose the tool that is called.
 */
export const INPUTS_PATH = "Frame.query";
/** Rows that an iteration reads with one call. */
const BATCH = 1_000;
/**
 * What each handle is. One that is no frame has a kind, and facts.
 *
 * @type {WeakMap<object, {id: string, steps: unknown[], columns: string[], facts?: Record<string, any>}>}
 */
const frames = new WeakMap();
/** The tree of each expression. @type {WeakMap<object, unknown>} */
const nodes = new WeakMap();
/** @type {(name: string, args: unknown) => Promise<any>} */
let ask;

/** @param {(name: string, args: unknown) => Promise<any>} call sends a call */
export const askWith = (call) => {
  ask = call;
};

/** Whether a value has the form of a handle in JSON, which later programs would take it for. @param {object} value */
export const isLikeHandle = (value) => hasOwn(value, FRAME) && keys(value).length === 1;
/** @param {unknown} value */
export const isHandle = (value) => typeof value === "object" && value !== null && weakGet(frames, value) !== undefined;
/** @param {any} value */
const isFrame = (value) => isHandle(value) && weakGet(frames, value).facts === undefined;

/** @param {string} id @param {unknown[]} steps @param {string[]} columns */
function make(id, steps, columns) {
  const frame = new Frame();
  weakSet(frames, frame, { id, steps, columns });
  return frame;
}

/**
 * The frame that a payload stands for; any other payload as it is.
 *
 * @param {any} value parsed
 * @param {string} path of the tool that returned it, which serves its operations, whatever the id says; "": the id says
 */
export function framed(value, path) {
  if (typeof value !== "object" || value === null || !isLikeHandle(value)) return value;
  const body = value[FRAME];
  if (typeof body !== "object" || body === null || typeof body.id !== "string") return value;
  const { id, steps, columns, kind } = body;
  const own = path === "" ? id : path + "#" + slice(id, indexOf(id, "#") + 1);
  if (typeof kind === "string") return hasOwn(KINDS, kind) ? other(own, KINDS[kind], body) : value;
  if (!isArray(columns)) return value;
  return make(own, isArray(steps) ? steps : [], columns);
}

/** A value of an earlier program, with handles in the place of what names them. @param {any} value parsed; changed */
export function framedWithin(value) {
  if (typeof value !== "object" || value === null) return value;
  const found = framed(value, "");
  if (found !== value) return found;
  const names = keys(value);
  for (let i = 0; i < names.length; i++) {
    const name = names[i], item = value[name];
    if (typeof item === "object" && item !== null) set(value, name, framedWithin(item));
  }
  return value;
}

/** @param {any} frame */
const stateOf = (frame) => {
  const state = weakGet(frames, frame);
  if (state === undefined) throw new TypeErrorC("This is no frame");
  return state;
};

/** @param {any} frame @param {string} what @param {object} [more] @returns {Promise<any>} */
function result(frame, what, more) {
  const { id, steps } = stateOf(frame);
  const args = { "$pctx.call": what, frame: { id, steps }, ...more };
  return ask(slice(id, 0, indexOf(id, "#")), args);
}

/** @param {any} frame @param {unknown} step @param {string[]} [columns] */
function added(frame, step, columns) {
  const state = stateOf(frame);
  const steps = [];
  for (let i = 0; i < state.steps.length; i++) steps[i] = state.steps[i];
  steps[steps.length] = step;
  return make(state.id, steps, columns ?? state.columns);
}

/** @param {unknown} tree */
function expression(tree) {
  const made = new FrameColumn();
  weakSet(nodes, made, tree);
  return made;
}

/** @param {any} value an expression, or a plain value */
function nodeOf(value) {
  const node = typeof value === "object" && value !== null ? weakGet(nodes, value) : undefined;
  if (node !== undefined) return node;
  if (isHandle(value)) throw new TypeErrorC("A frame cannot stand in an expression: give a column or a value");
  return { lit: value instanceof Date ? toISOString(value) : value ?? null };
}

/** @param {string} op @param {unknown[]} of */
function operation(op, of) {
  const parts = [];
  for (let i = 0; i < of.length; i++) parts[i] = nodeOf(of[i]);
  return expression({ op, of: parts });
}

/** An expression on the columns of a frame. */
class FrameColumn {
  /** @param {unknown} other */ eq(other) {
    return operation("eq", [this, other]);
  }
  /** @param {unknown} other */ ne(other) {
    return operation("ne", [this, other]);
  }
  /** @param {unknown} other */ gt(other) {
    return operation("gt", [this, other]);
  }
  /** @param {unknown} other */ ge(other) {
    return operation("ge", [this, other]);
  }
  /** @param {unknown} other */ lt(other) {
    return operation("lt", [this, other]);
  }
  /** @param {unknown} other */ le(other) {
    return operation("le", [this, other]);
  }
  /** @param {unknown} other */ and(other) {
    return operation("and", [this, other]);
  }
  /** @param {unknown} other */ or(other) {
    return operation("or", [this, other]);
  }
  not() {
    return operation("not", [this]);
  }
  isNull() {
    return operation("isNull", [this]);
  }
  /** @param {unknown[]} values */ in(values) {
    return operation("in", [this, values]);
  }
  /** @param {unknown} other */ add(other) {
    return operation("add", [this, other]);
  }
  /** @param {unknown} other */ sub(other) {
    return operation("sub", [this, other]);
  }
  /** @param {unknown} other */ mul(other) {
    return operation("mul", [this, other]);
  }
  /** @param {unknown} other */ div(other) {
    return operation("div", [this, other]);
  }
  /** @param {string} part */ contains(part) {
    return operation("contains", [this, part]);
  }
  /** @param {string} part */ startsWith(part) {
    return operation("startsWith", [this, part]);
  }
  /** @param {string} part */ endsWith(part) {
    return operation("endsWith", [this, part]);
  }
}

/** The columns of a frame, as the argument of the function that builds an expression. @param {any} frame */
function columnsOf(frame) {
  const { columns } = stateOf(frame);
  return new ProxyC(create(null), {
    get(_, /** @type {string | symbol} */ name) {
      if (typeof name !== "string") return undefined;
      for (let i = 0; i < columns.length; i++) if (columns[i] === name) return expression({ col: name });
      throw new TypeErrorC('The frame has no column "' + name + '"; it has ' + listed(columns));
    },
  });
}

/** @param {string[]} columns */
function listed(columns) {
  let text = "";
  for (let i = 0; i < columns.length && i < 20; i++) text += (i === 0 ? "" : ", ") + columns[i];
  return columns.length > 20 ? text + ", \u2026" : text;
}

/** @param {any} frame @param {any} build @param {string} what */
function built(frame, build, what) {
  if (typeof build !== "function") {
    throw new TypeErrorC(what + " takes a function of the columns: row => row." + (stateOf(frame).columns[0] ?? "id"));
  }
  return nodeOf(build(columnsOf(frame)));
}

/** @param {string[]} left @param {string[]} right @param {string[]} on */
function joinedColumns(left, right, on) {
  const found = [];
  for (let i = 0; i < left.length; i++) found[i] = left[i];
  for (let i = 0; i < right.length; i++) {
    const name = right[i];
    if (!isIn(on, name)) found[found.length] = isIn(left, name) ? name + "_right" : name;
  }
  return found;
}

/** @param {string[]} names @param {string} name */
function isIn(names, name) {
  for (let i = 0; i < names.length; i++) if (names[i] === name) return true;
  return false;
}

/** The first key of what says that bytes follow. */
export const BYTES = "$pctx.bytes";

/** A typed array of bytes from the host. @param {unknown} kind @param {ArrayBuffer} buffer */
export function arrayOf(kind, buffer) {
  const isWhole = bufferLength(buffer) % 8 === 0;
  if (kind === "float64" && isWhole) return new Float64ArrayC(buffer);
  return kind === "int64" && isWhole ? new BigInt64ArrayC(buffer) : new Uint8ArrayC(buffer);
}

/** A column that came in JSON: its values, or the numbers in Base64. @param {any} found */
function unpacked(found) {
  if (typeof found !== "object" || found === null || isArray(found) || typeof found.float64 !== "string") return found;
  return arrayOf("float64", fromBase64(found.float64).buffer);
}

/** A table that stays in its notebook. */
class Frame {
  get columns() {
    const found = [], { columns } = stateOf(this);
    for (let i = 0; i < columns.length; i++) found[i] = columns[i];
    return found;
  }
  /** @param {unknown} build */
  filter(build) {
    return added(this, ["filter", built(this, build, "filter")]);
  }
  /** @param {string[]} columns */
  select(...columns) {
    return added(this, ["select", columns], columns);
  }
  /** @param {Record<string, unknown>} made */
  withColumns(made) {
    const names = keys(made), steps = create(null), columns = this.columns;
    for (let i = 0; i < names.length; i++) {
      steps[names[i]] = built(this, made[names[i]], "withColumns");
      if (!isIn(columns, names[i])) columns[columns.length] = names[i];
    }
    return added(this, ["with", steps], columns);
  }
  /** @param {string | string[]} columns @param {"ascending" | "descending"} [order] */
  sortBy(columns, order) {
    return added(this, ["sort", isArray(columns) ? columns : [columns], order === "descending"]);
  }
  /** @param {string[]} by */
  groupBy(...by) {
    return freeze({
      agg: (/** @type {Record<string, unknown>} */ wanted) => {
        const columns = [], names = keys(wanted);
        for (let i = 0; i < by.length; i++) columns[i] = by[i];
        for (let i = 0; i < names.length; i++) columns[columns.length] = names[i];
        return added(this, ["group", by, wanted], columns);
      },
    });
  }
  /** @param {any} other @param {string | string[]} on @param {string} [how] */
  join(other, on, how = "inner") {
    if (!isFrame(other)) throw new TypeErrorC("join needs another frame");
    const { id, steps, columns } = stateOf(other), names = isArray(on) ? on : [on];
    const isFilter = how === "semi" || how === "anti";
    return added(
      this,
      ["join", { id, steps }, names, how],
      isFilter ? undefined : joinedColumns(stateOf(this).columns, columns, names),
    );
  }
  count() {
    return result(this, "count");
  }
  /** @param {number} [from] @param {number} [to] */
  rows(from, to) {
    return result(this, "rows", { from, to });
  }
  /** @param {number} [count] */
  head(count = 5) {
    return result(this, "rows", { from: 0, to: count });
  }
  /** @param {number} [count] @param {number} [seed] */
  sample(count = 5, seed) {
    return result(this, "sample", { count, seed });
  }
  describe() {
    return result(this, "describe");
  }
  schema() {
    return result(this, "schema");
  }
  /** @param {Record<string, unknown>} wanted */
  agg(wanted) {
    return result(this, "agg", { wanted });
  }
  /** @param {string} name @param {"bigint"} [as] */
  async column(name, as) {
    return unpacked(await result(this, "column", { name, as, bytes: true }));
  }
  async *[$asyncIterator]() {
    for (let from = 0;; from += BATCH) {
      const rows = await result(this, "rows", { from, to: from + BATCH });
      for (let i = 0; i < rows.length; i++) yield rows[i];
      if (rows.length < BATCH) return;
    }
  }
  /** @param {string} query @param {Record<string, unknown>} [frames] */
  sql(query, frames = {}) {
    const given = create(null), names = keys(frames);
    for (let i = 0; i < names.length; i++) {
      const one = /** @type {any} */ (frames)[names[i]];
      if (!isFrame(one)) throw new TypeErrorC("sql needs frames by name: { " + names[i] + " } is not one");
      const { id, steps } = stateOf(one);
      given[names[i]] = { id, steps };
    }
    return result(this, "sql", { query, frames: given });
  }
  /** @param {string} name */
  async save(name) {
    await result(this, "save", { name });
  }
  toJSON() {
    const { id, steps, columns } = stateOf(this);
    return { [FRAME]: { id, steps, columns } };
  }
}

/** An object that stays in its notebook, and is no frame. */
class Handle {
  get type() {
    return factsOf(this).type;
  }
  /** @param {string} name */
  async save(name) {
    await result(this, "save", { name });
  }
  toJSON() {
    const { id, facts } = stateOf(this);
    return { [FRAME]: { ...facts, id, steps: [] } };
  }
}
/** An array of numpy. */
class NDArray extends Handle {
  get shape() {
    const found = [], { shape } = factsOf(this);
    for (let i = 0; i < shape.length; i++) found[i] = shape[i];
    return found;
  }
  get dtype() {
    return factsOf(this).dtype;
  }
  /** @param {number} [from] @param {number} [to] @param {"bigint"} [as] */
  values(from, to, as) {
    return result(this, "values", { from, to, as });
  }
  /** @param {string} name */
  agg(name) {
    return result(this, "agg", { function: name });
  }
}
/** A file, which is read in ranges. */
class FileHandle extends Handle {
  get name() {
    return factsOf(this).name;
  }
  get size() {
    return factsOf(this).size;
  }
  /** @param {number} [from] @param {number} [to] */
  bytes(from, to) {
    return result(this, "bytes", { from, to });
  }
  /** @param {number} [from] @param {number} [to] */
  text(from, to) {
    return result(this, "text", { from, to });
  }
  async *[$asyncIterator]() {
    for (let from = 0; from !== null;) {
      const { lines, next } = await result(this, "lines", { from });
      for (let i = 0; i < lines.length; i++) yield lines[i];
      from = next;
    }
  }
}
/** The items of an iterator, each of which is taken once. */
class Items extends Handle {
  /** @param {number} count */
  async take(count) {
    const found = [];
    while (found.length < count) {
      const { items, done } = await result(this, "take", { count: count - found.length });
      for (let i = 0; i < items.length; i++) found[found.length] = items[i];
      if (done) break;
    }
    return found;
  }
  async *[$asyncIterator]() {
    for (;;) {
      const { items, done } = await result(this, "take");
      for (let i = 0; i < items.length; i++) yield items[i];
      if (done) return;
    }
  }
}
/** What is computed elsewhere, and stays there until its result is asked for. */
class Future extends Handle {
  result() {
    return result(this, "result");
  }
}
/** A figure of matplotlib or Plotly. */
class Figure extends Handle {}
/** @type {Record<string, any>} */
const KINDS = /** @type {any} */ ({
  __proto__: null,
  array: NDArray,
  file: FileHandle,
  items: Items,
  figure: Figure,
  future: Future,
  object: Handle,
});

/** @param {string} id @param {any} Kind @param {Record<string, unknown>} facts */
function other(id, Kind, facts) {
  const made = new Kind();
  weakSet(frames, made, { id, steps: [], columns: [], facts });
  return made;
}

/** @param {any} handle @returns {Record<string, any>} */
const factsOf = (handle) => stateOf(handle).facts ?? {};

/** How the console shows a frame. @this {any} */
function inspected() {
  const { id, steps, columns, facts } = stateOf(this);
  if (facts !== undefined) return facts.type + " " + slice(id, 0, indexOf(id, "#")) + ", in the notebook";
  return "Frame " + slice(id, 0, indexOf(id, "#")) + " (" + listed(columns) + ")" + (steps.length > 0 ? ", lazy" : "");
}
for (const kind of [Frame, Handle]) {
  set(kind.prototype, /** @type {any} */ (Symbol.for("Deno.customInspect")), inspected);
}

/**
 * What a program's value becomes: of a frame, its shape, types and first rows, which one call computes.
 *
 * @param {any} value
 */
export async function shown(value) {
  if (!isHandle(value)) return value;
  const { id } = stateOf(value), answer = await result(value, "preview");
  const path = slice(id, 0, indexOf(id, "#")), found = isHandle(answer) ? factsOf(answer) : answer;
  return { [FRAME]: { ...found, id: path + "#" + slice(found.id, indexOf(found.id, "#") + 1) } };
}

/** A frame by the text that names it in an earlier answer. @param {unknown} id */
export function openFrame(id) {
  if (typeof id !== "string" || indexOf(id, "#") < 0) {
    throw new TypeErrorC("Cannot open a frame: its id is a text with a #, such as Sales.orders#k3J9");
  }
  return ask(slice(id, 0, indexOf(id, "#")), { "$pctx.call": "open", frame: { id, steps: [] } });
}
