/**
 * Checks Vega-Lite charts: `pctx_jupyter/kernel/output/charts.py` explains the check, and `charts.json` is the list, the same
 * file in both places. Pure functions. A test compares both implementations on the same charts.
 */

import { INHERITED, length, NotInGrammar, rewritten, start, type ArgumentRule, type Vocabulary } from './formula';
import list from './charts.json';

const LITE = /^application\/vnd\.vegalite\.v[0-9]+\+json$/;
/** Any MIME type of charts. */
export const CHART = /^application\/vnd\.vega(?:lite)?\.v[0-9]+\+json$/;

/** How a chart is drawn: `EMBED_OPTIONS` in `charts.py`. */
export const EMBED_OPTIONS = {
  actions: { export: true, source: false, compiled: false, editor: false },
  tooltip: false,
  renderer: 'canvas'
};

const MOST_PARTS = 100_000;
const MOST_DEPTH = 60;
const MOST_TEXT = 10_000;
const MOST_FACTOR = 10_000;

const GEOMETRY = new Set([
  'Topology',
  'FeatureCollection',
  'Feature',
  'GeometryCollection',
  'Point',
  'MultiPoint',
  'LineString',
  'MultiLineString',
  'Polygon',
  'MultiPolygon'
]);
/** Names by which Vega takes an object of data for an expression. */
const SIGNAL = new Set(['signal', 'expr']);
const PARAMETER = /^[A-Za-z_][A-Za-z0-9_]{0,99}$/;

/** A chart is not drawn; the message says which member refused it, and why. */
export class ChartRefused extends Error {
  constructor(path: string, reason: string) {
    super(path ? `its "${path}" ${reason}` : reason);
  }
}

type JsonObject = Record<string, unknown>;

/** One alternative of what a member may hold: a kind or a word, in so many lists. */
interface MemberType {
  name: string;
  lists: number;
  word: string | null;
}

interface MemberKind {
  number?: [number, number];
  text?: RegExp;
  words?: Set<string>;
  any?: string;
  map?: string;
  members?: Map<string, string>;
  needs: string[];
  factor: Map<string, number | 'lists'>;
  isEnded: boolean;
  span?: number;
  drawn?: number;
}

/** A kind as the list has it. */
interface ListedKind {
  number?: [number, number];
  text?: string;
  words?: string;
  any?: string;
  map?: string;
  members?: Record<string, string>;
  like?: string;
  needs?: string;
  factor?: Record<string, number | 'lists'>;
  ended?: boolean;
  span?: number;
  drawn?: number;
}

/** Rebuild a chart from what the list allows; throws `ChartRefused`. */
export function clean(type: string, spec: unknown): JsonObject {
  if (!LITE.test(type)) {
    throw new ChartRefused('', 'only Vega-Lite is drawn, and this is Vega; write the chart in Vega-Lite');
  }
  if (!isObject(spec)) {
    throw new ChartRefused('', 'it is no object');
  }
  // Options for the renderer. They would override ours.
  const kept = Object.fromEntries(Object.entries(spec).filter(([name]) => name !== 'usermeta'));
  return new ChartCheck(new Set(parameters(kept))).checked(kept, list.root, '', 0) as JsonObject;
}

/** The rows in a chart's own data: the first data that are rows, or none. */
export function rows(spec: unknown): JsonObject[] {
  const pending: [unknown, number][] = [[spec, 0]];
  for (let found = pending.shift(); found; found = pending.shift()) {
    const [part, depth] = found;
    if (Array.isArray(part) && part.length > 0 && part.every(isObject) && depth > 0) {
      return part;
    }
    if (isObject(part) && depth < MOST_DEPTH) {
      // Vega has a list of them.
      for (const one of Array.isArray(part.data) ? (part.data as unknown[]) : [part.data]) {
        if (isObject(one)) {
          pending.push([one.values, depth + 1]);
        }
      }
      if (isObject(part.datasets)) {
        pending.push(...Object.values(part.datasets).map((values): [unknown, number] => [values, depth + 1]));
      }
      for (const name of NESTED) {
        const inner: unknown = part[name];
        pending.push(
          ...(Array.isArray(inner) ? (inner as unknown[]) : [inner]).map((view): [unknown, number] => [view, 0])
        );
      }
    }
  }
  return [];
}

// The list, prepared for the check

const LISTED = new Map(Object.entries(list.kinds as unknown as Record<string, ListedKind>));
const KINDS = new Map([...LISTED].map(([name, listed]) => [name, kind(listed)]));
const NESTED = list.nested.split(' ');
const FIRST = new Set(list.first.split(' '));
const FUNCTIONS = new Map(
  Object.entries(list.functions).flatMap(([rule, names]) => names.split(' ').map(name => [name, rule as ArgumentRule]))
);
const CONSTANTS = new Set(list.constants.split(' '));
const RESERVED = new Set([...list.reserved.split(' '), ...CONSTANTS, ...INHERITED]);
const EXPANDED = new Map<string, MemberType[]>();

function kind(listed: ListedKind): MemberKind {
  const bases = words(listed.like).map(name => LISTED.get(name) ?? {});
  return {
    number: listed.number,
    text: listed.text === undefined ? undefined : new RegExp(`^(?:${listed.text})$`, 'u'),
    words: listed.words === undefined ? undefined : new Set(words(listed.words)),
    any: listed.any,
    map: listed.map,
    members: listed.members || listed.like ? new Map(members(listed)) : undefined,
    needs: words(listed.needs),
    factor: new Map(factors(listed)),
    isEnded: [listed, ...bases].some(one => one.ended ?? false),
    span: listed.span,
    drawn: listed.drawn
  };
}

function* members(listed: ListedKind): Iterable<[string, string]> {
  for (const base of words(listed.like)) {
    yield* members(LISTED.get(base) ?? {});
  }
  for (const [type, names] of Object.entries(listed.members ?? {})) {
    yield* words(names).map((name): [string, string] => [name, type]);
  }
}

function* factors(listed: ListedKind): Iterable<[string, number | 'lists']> {
  for (const base of words(listed.like)) {
    yield* factors(LISTED.get(base) ?? {});
  }
  yield* Object.entries(listed.factor ?? {});
}

function words(text: string | undefined): string[] {
  return text ? text.split(' ') : [];
}

/** The alternatives of a type, those that are types by another name replaced. */
function expanded(type: string): MemberType[] {
  let found = EXPANDED.get(type);
  if (!found) {
    found = type.split('|').flatMap(part => {
      const name = part.replace(/(?:\[\])+$/, '');
      const lists = (part.length - name.length) / 2;
      if (name.startsWith("'")) {
        return [{ name: '', lists, word: name.slice(1, -1) }];
      }
      const other = KINDS.get(name)?.any;
      return lists === 0 && other !== undefined ? expanded(other) : [{ name, lists, word: null }];
    });
    EXPANDED.set(type, found);
  }
  return found;
}

// The check

const NONE = Symbol('no alternative fits');

class ChartCheck {
  readonly #vocabulary: Vocabulary;
  #parts = 0;
  #factor = 1;

  constructor(names: Set<string>) {
    this.#vocabulary = {
      functions: FUNCTIONS,
      constants: CONSTANTS,
      parameters: new Set([...names].filter(isParameter)),
      format: KINDS.get('format')?.text ?? /^$/
    };
  }

  checked(value: unknown, type: string, path: string, depth: number): unknown {
    return this.#one(value, expanded(type), path, depth);
  }

  #one(value: unknown, alternatives: MemberType[], path: string, depth: number): unknown {
    this.#parts += 1;
    if (this.#parts > MOST_PARTS) {
      throw new ChartRefused(path, 'is beyond the 100,000 parts that a chart may have');
    }
    if (depth > MOST_DEPTH) {
      throw new ChartRefused(path, `is nested deeper than ${MOST_DEPTH} levels`);
    }
    for (const one of alternatives) {
      if (one.lists > 0) {
        if (Array.isArray(value)) {
          return this.#list(value, one, path, depth);
        }
      } else if (one.word !== null) {
        if (value === one.word) {
          return value;
        }
      } else {
        const found = this.#kind(value, one.name, path, depth);
        if (found !== NONE) {
          return found;
        }
      }
    }
    throw new ChartRefused(path, 'holds what a chart may not hold there');
  }

  #list(value: unknown[], one: MemberType, path: string, depth: number): unknown[] {
    const inner = { ...one, lists: one.lists - 1 };
    const other = inner.lists === 0 ? KINDS.get(one.name)?.any : undefined;
    const alternatives = other === undefined ? [inner] : expanded(other);
    return value.map((item, number) => this.#one(item, alternatives, `${path}[${number}]`, depth + 1));
  }

  #kind(value: unknown, name: string, path: string, depth: number): unknown {
    const kind = KINDS.get(name);
    if (!kind) {
      return this.#own(value, name, path);
    }
    if (typeof value === 'string') {
      if (kind.words) {
        return kind.words.has(value) ? (kind.drawn ?? value) : NONE;
      }
      if (!kind.text || INHERITED.has(value) || length(value) > MOST_TEXT) {
        return NONE;
      }
      return kind.text.test(value) ? value : NONE;
    }
    if (kind.number) {
      return isNumber(value) && kind.number[0] <= value && value <= kind.number[1] ? value : NONE;
    }
    if (isObject(value) && kind.needs.every(member => Object.hasOwn(value, member))) {
      if (kind.map !== undefined) {
        return this.#map(value, kind.map, path, depth);
      }
      if (kind.members) {
        return this.#object(value, kind, kind.members, path, depth);
      }
    }
    return NONE;
  }

  #object(value: JsonObject, kind: MemberKind, members: Map<string, string>, path: string, depth: number): JsonObject {
    const before = this.#factor;
    const made: JsonObject = {};
    const entries = Object.entries(value);
    const ordered = [...entries.filter(([name]) => FIRST.has(name)), ...entries.filter(([name]) => !FIRST.has(name))];
    for (const [name, member] of ordered) {
      const inside = path ? `${path}.${name}` : name;
      const type = members.get(name);
      if (type === undefined) {
        const more = ['url', 'href'].includes(name) ? ' and would lead elsewhere; put the data into the chart' : '';
        throw new ChartRefused(cut(inside), `is not among the members that a chart may have${more}`);
      }
      made[name] = this.checked(member, type, inside, depth + 1);
      this.#multiply(kind.factor.get(name) ?? 1, member, inside);
    }
    if (kind.span !== undefined) {
      checkSpan(value, kind.span, path);
    }
    if (kind.isEnded) {
      this.#factor = before;
    }
    return made;
  }

  #map(value: JsonObject, type: string, path: string, depth: number): JsonObject {
    for (const name of Object.keys(value)) {
      if (INHERITED.has(name) || SIGNAL.has(name) || length(name) > MOST_TEXT) {
        throw new ChartRefused(cut(`${path}.${name}`), 'is a name that a chart may not choose');
      }
    }
    const checked = ([name, member]: [string, unknown]): [string, unknown] => [
      name,
      this.checked(member, type, `${path}.${name}`, depth + 1)
    ];
    return Object.fromEntries(Object.entries(value).map(checked));
  }

  #own(value: unknown, name: string, path: string): unknown {
    switch (name) {
      case 'null':
        return value === null ? value : NONE;
      case 'boolean':
        return typeof value === 'boolean' ? value : NONE;
      case 'number':
        return isNumber(value) ? value : NONE;
      case 'text':
        return typeof value === 'string' && length(value) <= MOST_TEXT ? value : NONE;
      case 'field':
        return typeof value === 'string' && length(value) <= MOST_TEXT && !isInherited(value) ? value : NONE;
      case 'parameter':
        return typeof value === 'string' && isParameter(value) ? value : NONE;
      case 'expr':
        return typeof value === 'string' ? this.#expression(value, path) : NONE;
      case 'values':
        if (typeof value === 'string') {
          return value;
        }
        if (Array.isArray(value)) {
          return value.map(item => data(item, path, 1));
        }
        if (isObject(value) && isGeometry(value)) {
          return data(value, path, 1);
        }
    }
    return NONE;
  }

  #expression(value: string, path: string): string {
    try {
      return rewritten(value, this.#vocabulary);
    } catch (error) {
      if (error instanceof NotInGrammar) {
        throw new ChartRefused(path, `is an expression that a chart may not have: ${error.message}`);
      }
      throw error;
    }
  }

  #multiply(factor: number | 'lists', member: unknown, path: string): void {
    if (factor === 'lists') {
      const lists = isObject(member) ? Object.values(member) : [member];
      factor = lists.reduce<number>((all, one) => all * (Array.isArray(one) ? Math.max(1, one.length) : 1), 1);
    }
    this.#factor *= factor;
    if (this.#factor > MOST_FACTOR) {
      throw new ChartRefused(path, 'would multiply what is drawn by more than 10,000');
    }
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= 1e300;
}

function isParameter(name: string): boolean {
  return PARAMETER.test(name) && !RESERVED.has(name);
}

function isInherited(path: string): boolean {
  return path
    .replaceAll('\\', '')
    .split(/[.[\]'"]/)
    .some(part => INHERITED.has(part));
}

function isGeometry(value: JsonObject): boolean {
  return typeof value.type === 'string' && GEOMETRY.has(value.type) && !Object.keys(value).some(n => SIGNAL.has(n));
}

function checkSpan(value: JsonObject, most: number, path: string): void {
  const { start = 0, stop = 0, step = 1 } = value as { start?: number; stop?: number; step?: number };
  if (step === 0 || (stop - start) / step > most) {
    throw new ChartRefused(path, `has more than ${most.toLocaleString('en')} steps`);
  }
}

/** Copy data, without names that have a special meaning in JavaScript. */
function data(value: unknown, path: string, depth: number): unknown {
  if (depth > MOST_DEPTH) {
    throw new ChartRefused(path, `is nested deeper than ${MOST_DEPTH} levels`);
  }
  if (Array.isArray(value)) {
    return value.map(item => data(item, path, depth + 1));
  }
  if (isObject(value)) {
    const kept = Object.entries(value).filter(([name]) => name !== '__proto__');
    return Object.fromEntries(kept.map(([name, member]) => [name, data(member, path, depth + 1)]));
  }
  return value;
}

/** Names of the parameters of a chart and of the views in it. */
function* parameters(spec: JsonObject): Iterable<string> {
  const pending: unknown[] = [spec];
  while (pending.length > 0) {
    const view = pending.pop();
    if (!isObject(view)) {
      continue;
    }
    for (const [name, key] of [
      ['params', 'name'],
      ['transform', 'param']
    ] as const) {
      const given: unknown = view[name];
      for (const one of Array.isArray(given) ? (given as unknown[]) : []) {
        const found = isObject(one) ? one[key] : undefined;
        if (typeof found === 'string') {
          yield found;
        }
      }
    }
    for (const name of NESTED) {
      const inner: unknown = view[name];
      pending.push(...(Array.isArray(inner) ? (inner as unknown[]) : [inner]));
    }
  }
}

function cut(path: string): string {
  return length(path) <= 200 ? path : `${start(path, 200)}…`;
}
