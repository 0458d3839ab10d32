// deno-lint-ignore-file no-var ban-types
/**
 * What a sandbox leaves of the web platform, and what it adds. The names are those of `runner.js`, a test compares
 * them. Constructors are classes here, so that a namespace of tools called `URL` or `Event` merges with them.
 */

// ── Tools by name ───────────────────────────────────────────────────────────────────────────────────────────────

declare const CALLABLE_TOOLS: {
  /** Calls a tool by its full name: `await CALLABLE_TOOLS.execute("Sales.loadOrders", { status: "open" })`. */
  execute(name: string, args?: any): Promise<any>;
  /** The full names of the tools this program may call. */
  list(): string[];
};
/** The tools that this program may call, and the functions that are built in, whose namespace is empty. */
declare function list_functions(): {
  name: string;
  namespace: string;
  description: string;
  input_schema?: any;
  output_schema?: any;
  /** Returns the full name: `Sales.loadOrders`. */
  toString(): string;
}[];

// ── Frames ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** A condition on the rows of a frame, or a value that is computed from its columns. */
interface FrameColumn<T = any> {
  /** Equal, different, above, below. A comparison with a missing value is false; `ne` is the opposite of `eq`. */
  eq(other: FrameOperand<T>): FrameColumn<boolean>;
  ne(other: FrameOperand<T>): FrameColumn<boolean>;
  gt(other: FrameOperand<T>): FrameColumn<boolean>;
  ge(other: FrameOperand<T>): FrameColumn<boolean>;
  lt(other: FrameOperand<T>): FrameColumn<boolean>;
  le(other: FrameOperand<T>): FrameColumn<boolean>;
  in(values: readonly NonNullable<T>[]): FrameColumn<boolean>;
  isNull(): FrameColumn<boolean>;
  contains(part: string): FrameColumn<boolean>;
  startsWith(part: string): FrameColumn<boolean>;
  endsWith(part: string): FrameColumn<boolean>;
  and(other: FrameColumn<boolean>): FrameColumn<boolean>;
  or(other: FrameColumn<boolean>): FrameColumn<boolean>;
  not(): FrameColumn<boolean>;
  /** Of decimals and times, which are texts, the result may be either: it is `any`. */
  add<O extends FrameNumber<T>>(other: O): FrameColumn<FrameCalculated<T, O>>;
  sub<O extends FrameNumber<T>>(other: O): FrameColumn<FrameCalculated<T, O>>;
  mul<O extends FrameNumber<T>>(other: O): FrameColumn<FrameCalculated<T, O>>;
  div<O extends FrameNumber<T>>(other: O): FrameColumn<FrameCalculated<T, O>>;
}
type FrameNumber<T> = number | FrameColumn<number | null> | FrameColumn<T>;
type FrameCalculated<T, O> = 0 extends 1 & T ? any
  : NonNullable<T> extends string ? any
  : O extends FrameColumn<infer U> ? number | Extract<T | U, null>
  : number | Extract<T, null>;
type FrameOperand<T> = T | FrameColumn<any> | (T extends string ? Date : never) | null;
type FrameColumns<Row> = { readonly [Name in keyof Row]-?: FrameColumn<Row[Name]> };
type FrameAggregate = "sum" | "mean" | "min" | "max" | "median" | "std" | "count" | "nunique";
/** The function of a column by its name; a new name with `[column, function]`, or with `"count"` for all rows. */
type FrameAggregates<Row> = { [name: string]: FrameAggregate | readonly [keyof Row & string, FrameAggregate] };
/** A sum of decimals is one, and decimals are texts. */
type FrameSum<T> = 0 extends 1 & T ? any : NonNullable<T> extends string ? string | null : number | null;
type FrameAggregated<Row, A> = {
  [Name in keyof A]: A[Name] extends "count" | "nunique" | readonly [any, "count" | "nunique"] ? number
    : A[Name] extends readonly [infer Column extends keyof Row, "min" | "max"] ? Row[Column] | null
    : A[Name] extends readonly [infer Column extends keyof Row, "sum"] ? FrameSum<Row[Column]>
    : A[Name] extends "min" | "max" ? Name extends keyof Row ? Row[Name] | null : never
    : A[Name] extends "sum" ? Name extends keyof Row ? FrameSum<Row[Name]> : never
    : number | null;
};
/**
 * A table that stays in its notebook. Operations that return a `Frame` are lazy; the others compute all of them there,
 * in one call, and return what they are asked for.
 */
interface Frame<Row = any> extends AsyncIterable<Row> {
  readonly columns: (keyof Row & string)[];
  /** Keeps rows: `orders.filter((o) => o.amount.gt(10).and(o.status.eq("open")))`. */
  filter(condition: (row: FrameColumns<Row>) => FrameColumn<boolean>): Frame<Row>;
  select<K extends keyof Row & string>(...columns: K[]): Frame<Pick<Row, K>>;
  /** Adds columns: `orders.withColumns({ total: (o) => o.price.mul(o.count) })`. */
  withColumns<C extends { [name: string]: (row: FrameColumns<Row>) => FrameColumn<any> | string | number | boolean }>(
    columns: C,
  ): Frame<
    & Omit<Row, keyof C>
    & { [K in keyof C]: ReturnType<C[K]> extends FrameColumn<infer T> ? T : ReturnType<C[K]> }
  >;
  /** Sorts, stable; missing values are last. */
  sortBy(columns: (keyof Row & string) | (keyof Row & string)[], order?: "ascending" | "descending"): Frame<Row>;
  /** Groups: `orders.groupBy("status").agg({ amount: "sum", n: "count" })`. */
  groupBy<K extends keyof Row & string>(...columns: K[]): {
    agg<const A extends FrameAggregates<Row>>(aggregates: A): Frame<Pick<Row, K> & FrameAggregated<Row, A>>;
  };
  /** Joins a frame of the same notebook by columns that both have. */
  join<K extends keyof Row & string>(other: Frame<any>, on: K | K[], how: "semi" | "anti"): Frame<Row>;
  join<Other, K extends keyof Row & keyof Other & string>(
    other: Frame<Other>,
    on: K | K[],
    how?: "inner",
  ): Frame<
    & Row
    & { [N in Exclude<keyof Other, K> as N extends keyof Row ? `${N & string}_right` : N]: Other[N] }
  >;
  join<Other, K extends keyof Row & keyof Other & string>(
    other: Frame<Other>,
    on: K | K[],
    how: "left",
  ): Frame<
    & Row
    & { [N in Exclude<keyof Other, K> as N extends keyof Row ? `${N & string}_right` : N]: Other[N] | null }
  >;
  count(): Promise<number>;
  /** All rows, or those of a range. */
  rows(from?: number, to?: number): Promise<Row[]>;
  /** The first rows, 5 by default. */
  head(count?: number): Promise<Row[]>;
  /** Some rows at random, 5 by default; the same for the same seed. */
  sample(count?: number, seed?: number): Promise<Row[]>;
  /** Aggregates of all rows: `{ amount: "sum", n: "count" }`. */
  agg<const A extends FrameAggregates<Row>>(aggregates: A): Promise<FrameAggregated<Row, A>>;
  /** A column of integers, exactly; fails where a value is missing. */
  column(name: keyof Row & string, as: "bigint"): Promise<BigInt64Array>;
  /** One column; one of numbers as a typed array, with NaN for missing values, and integers beyond 2**53 rounded. */
  column<K extends keyof Row & string>(
    name: K,
  ): Promise<0 extends 1 & Row[K] ? any : NonNullable<Row[K]> extends number ? Float64Array : Row[K][]>;
  /** One row for each column: type, count, missing values, range. */
  describe(): Promise<
    {
      column: string;
      type: string;
      count: number;
      missing: number;
      min?: any;
      max?: any;
      mean?: number | null;
      median?: number | null;
      std?: number | null;
    }[]
  >;
  /**
   * Runs a query of DuckDB, in which this frame is the table `frame`, and other frames have their names:
   * `orders.sql("select * from frame join c using (id)", { c: customers })`.
   */
  sql<Other = any>(query: string, frames?: { [name: string]: Frame<any> }): Promise<Frame<Other>>;
  /** Stores it as a variable of the notebook. */
  save(name: string): Promise<void>;
  /** The type of each column, as its library has it. */
  schema(): Promise<{ [column: string]: string }>;
}
/**
 * Opens a frame by its id, which the answer of an earlier program has: `await openFrame("Sales.orders#k3J9")`. Another
 * object has the type that is given: `await openFrame<NDArray>(id)`.
 */
declare function openFrame<Kind = Frame>(id: string): Promise<Kind>;

/**
 * An object that stays in its notebook. Tools of the same notebook take it, and get the very object. It has a `type`, and
 * `save(name)` stores it as a variable of the notebook.
 */
type Handle = any;
interface HandleOfNotebook {
  /** The name of its class. */
  readonly type: string;
  /** Stores it as a variable of the notebook. */
  save(name: string): Promise<void>;
}
/** An array of numpy. */
interface NDArray extends HandleOfNotebook {
  readonly shape: number[];
  readonly dtype: string;
  /** All elements, or those of a range of the first axis, in one dimension; others than numbers as an array. */
  values(from?: number, to?: number): Promise<Float64Array>;
  values(from: number | undefined, to: number | undefined, as: "bigint"): Promise<BigInt64Array>;
  /** An aggregate of all elements, as numpy computes it. */
  agg(name: "sum" | "mean" | "min" | "max" | "median" | "std" | "count"): Promise<number | null>;
}
/** A file. `for await (const line of file)` reads its lines. */
interface FileHandle extends HandleOfNotebook, AsyncIterable<string> {
  readonly name: string;
  readonly size: number;
  /** Its bytes, or those of a range. */
  bytes(from?: number, to?: number): Promise<Uint8Array>;
  /** The same as text. */
  text(from?: number, to?: number): Promise<string>;
}
/** What an iterator yields, each item once: `for await (const item of items)`. */
interface Items<T = any> extends HandleOfNotebook, AsyncIterable<T> {
  /** The next items; fewer at the end. */
  take(count: number): Promise<T[]>;
}
/** What is computed elsewhere, such as on a cluster, and stays there. Tools with `run_on` of that cluster take it. */
interface Future<T = any> extends HandleOfNotebook {
  /** Waits for the value and brings it: tables and arrays as handles of the notebook, anything else as itself. */
  result(): Promise<T>;
}
/** A figure of matplotlib or Plotly. A program that ends with it shows it. */
interface Figure extends HandleOfNotebook {}

// ── Console ─────────────────────────────────────────────────────────────────────────────────────────────────────

interface Console {
  assert(condition?: boolean, ...data: any[]): void;
  clear(): void;
  count(label?: string): void;
  countReset(label?: string): void;
  debug(...data: any[]): void;
  dir(item?: any, options?: any): void;
  dirxml(...data: any[]): void;
  error(...data: any[]): void;
  group(...data: any[]): void;
  groupCollapsed(...data: any[]): void;
  groupEnd(): void;
  info(...data: any[]): void;
  log(...data: any[]): void;
  table(data?: any, columns?: readonly string[]): void;
  time(label?: string): void;
  timeEnd(label?: string): void;
  timeLog(label?: string, ...data: any[]): void;
  trace(...data: any[]): void;
  warn(...data: any[]): void;
}
declare var console: Console;

// ── Displays ────────────────────────────────────────────────────────────────────────────────────────────────────

/** What is left of Deno: what its notebooks show things with. */
declare namespace Deno {
  namespace jupyter {
    /** Content by MIME type. Images are base64 text or bytes; HTML, Markdown and SVG are shown without scripts. */
    interface MediaBundle {
      "text/plain"?: string;
      "text/html"?: string;
      "text/markdown"?: string;
      "image/svg+xml"?: string;
      "image/png"?: string | Uint8Array;
      "image/jpeg"?: string | Uint8Array;
      "image/gif"?: string | Uint8Array;
      "image/webp"?: string | Uint8Array;
      "application/json"?: object;
      "application/vnd.vega.v5+json"?: object;
      "application/vnd.vegalite.v4+json"?: object;
      "application/vnd.vegalite.v5+json"?: object;
      [type: string]: string | object | undefined;
    }
    interface DisplayOptions {
      /** The object is a bundle: content by MIME type. */
      raw?: boolean;
      /** A name for what is shown, by which it can be replaced. */
      display_id?: string;
      /** Replace what is shown under that name. */
      update?: boolean;
    }
    /** An object that says how it is shown. `Symbol.for("Jupyter.display")` is the same symbol. */
    interface Displayable {
      [$display]: () => MediaBundle | Promise<MediaBundle>;
    }
    const $display: unique symbol;
    /** Shows anything in the cell, at once: charts, pictures, tables, what `html` and the like return. */
    function display(obj: unknown, options?: DisplayOptions): Promise<void>;
    /** HTML: ``html`<b>${name}</b>` ``. What is put in is not escaped. */
    function html(strings: TemplateStringsArray, ...values: unknown[]): Displayable;
    /** Markdown: ``md`# ${title}` ``. */
    function md(strings: TemplateStringsArray, ...values: unknown[]): Displayable;
    /** A drawing: ``svg`<svg viewBox="0 0 9 9">…</svg>` ``. */
    function svg(strings: TemplateStringsArray, ...values: unknown[]): Displayable;
    /** A PNG, JPEG, GIF or WebP: its bytes, their base64 text, or a `data:` URL. */
    function image(data: Uint8Array | ArrayBuffer | string): Displayable;
    /** How something would be shown. */
    function format(obj: unknown): Promise<MediaBundle>;
    function broadcast(
      type: "display_data" | "update_display_data",
      content: { data: MediaBundle; metadata?: object; transient?: { display_id?: string } },
      extra?: { metadata?: object },
    ): Promise<void>;
  }
}

// ── Timers and globals ──────────────────────────────────────────────────────────────────────────────────────────

declare var self: typeof globalThis;
declare function setTimeout(callback: (...args: any[]) => void, delay?: number, ...args: any[]): number;
declare function setInterval(callback: (...args: any[]) => void, delay?: number, ...args: any[]): number;
declare function clearTimeout(id?: number): void;
declare function clearInterval(id?: number): void;
declare function queueMicrotask(callback: () => void): void;
declare function structuredClone<T = any>(value: T, options?: { transfer?: readonly any[] }): T;
/** Decodes base64 into a text of bytes. */
declare function atob(data: string): string;
/** Encodes a text of bytes as base64. */
declare function btoa(data: string): string;

interface ErrorConstructor {
  captureStackTrace(target: object, constructor?: Function): void;
  stackTraceLimit: number;
}

// ── Events ──────────────────────────────────────────────────────────────────────────────────────────────────────

interface EventInit {
  bubbles?: boolean;
  cancelable?: boolean;
  composed?: boolean;
}
declare class Event {
  constructor(type: string, init?: EventInit);
  readonly type: string;
  readonly target: EventTarget | null;
  readonly currentTarget: EventTarget | null;
  readonly bubbles: boolean;
  readonly cancelable: boolean;
  readonly composed: boolean;
  readonly defaultPrevented: boolean;
  readonly eventPhase: number;
  readonly isTrusted: boolean;
  readonly timeStamp: number;
  composedPath(): EventTarget[];
  preventDefault(): void;
  stopImmediatePropagation(): void;
  stopPropagation(): void;
}
declare class CustomEvent<T = any> extends Event {
  constructor(type: string, init?: EventInit & { detail?: T });
  readonly detail: T;
}
type EventListenerOrEventListenerObject = ((event: any) => void) | { handleEvent(event: any): void };
declare class EventTarget {
  constructor();
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | { capture?: boolean; once?: boolean; passive?: boolean; signal?: AbortSignal },
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | { capture?: boolean },
  ): void;
  dispatchEvent(event: Event): boolean;
}
declare class AbortSignal extends EventTarget {
  private constructor();
  readonly aborted: boolean;
  readonly reason: any;
  onabort: ((event: Event) => void) | null;
  throwIfAborted(): void;
  static abort(reason?: any): AbortSignal;
  static any(signals: Iterable<AbortSignal>): AbortSignal;
  static timeout(milliseconds: number): AbortSignal;
}
declare class AbortController {
  constructor();
  readonly signal: AbortSignal;
  abort(reason?: any): void;
}
declare class DOMException extends Error {
  constructor(message?: string, name?: string);
  readonly code: number;
}

// ── Texts and bytes ─────────────────────────────────────────────────────────────────────────────────────────────

type BufferSource = ArrayBufferView<ArrayBuffer> | ArrayBuffer;
declare class TextEncoder {
  constructor();
  readonly encoding: "utf-8";
  encode(input?: string): Uint8Array<ArrayBuffer>;
  encodeInto(source: string, destination: Uint8Array): { read: number; written: number };
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  readonly encoding: string;
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  decode(input?: BufferSource, options?: { stream?: boolean }): string;
}
declare class Blob {
  constructor(
    parts?: Iterable<string | Blob | BufferSource>,
    options?: { type?: string; endings?: "transparent" | "native" },
  );
  readonly size: number;
  readonly type: string;
  arrayBuffer(): Promise<ArrayBuffer>;
  bytes(): Promise<Uint8Array<ArrayBuffer>>;
  slice(start?: number, end?: number, contentType?: string): Blob;
  text(): Promise<string>;
}

// ── Addresses ───────────────────────────────────────────────────────────────────────────────────────────────────

declare class URLSearchParams {
  constructor(init?: Iterable<[string, string]> | string[][] | Record<string, string> | string | URLSearchParams);
  readonly size: number;
  append(name: string, value: string): void;
  delete(name: string, value?: string): void;
  entries(): IterableIterator<[string, string]>;
  forEach(callback: (value: string, key: string, parent: URLSearchParams) => void, thisArg?: any): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string, value?: string): boolean;
  keys(): IterableIterator<string>;
  set(name: string, value: string): void;
  sort(): void;
  toString(): string;
  values(): IterableIterator<string>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}
declare class URL {
  constructor(url: string | URL, base?: string | URL);
  static canParse(url: string | URL, base?: string | URL): boolean;
  static parse(url: string | URL, base?: string | URL): URL | null;
  static createObjectURL(blob: Blob): string;
  static revokeObjectURL(url: string): void;
  hash: string;
  host: string;
  hostname: string;
  href: string;
  readonly origin: string;
  password: string;
  pathname: string;
  port: string;
  protocol: string;
  search: string;
  readonly searchParams: URLSearchParams;
  username: string;
  toJSON(): string;
  toString(): string;
}
interface URLPatternInit {
  protocol?: string;
  username?: string;
  password?: string;
  hostname?: string;
  port?: string;
  pathname?: string;
  search?: string;
  hash?: string;
  baseURL?: string;
}
interface URLPatternComponentResult {
  input: string;
  groups: Record<string, string | undefined>;
}
interface URLPatternResult {
  inputs: [URLPatternInit] | [URLPatternInit, string];
  protocol: URLPatternComponentResult;
  username: URLPatternComponentResult;
  password: URLPatternComponentResult;
  hostname: URLPatternComponentResult;
  port: URLPatternComponentResult;
  pathname: URLPatternComponentResult;
  search: URLPatternComponentResult;
  hash: URLPatternComponentResult;
}
declare class URLPattern {
  constructor(input?: string | URLPatternInit, options?: { ignoreCase?: boolean });
  constructor(input: string | URLPatternInit, base?: string, options?: { ignoreCase?: boolean });
  readonly protocol: string;
  readonly username: string;
  readonly password: string;
  readonly hostname: string;
  readonly port: string;
  readonly pathname: string;
  readonly search: string;
  readonly hash: string;
  readonly hasRegExpGroups: boolean;
  exec(input?: string | URLPatternInit, base?: string): URLPatternResult | null;
  test(input?: string | URLPatternInit, base?: string): boolean;
}

// ── Cryptography and time ───────────────────────────────────────────────────────────────────────────────────────

type KeyUsage =
  | "decrypt"
  | "deriveBits"
  | "deriveKey"
  | "encrypt"
  | "sign"
  | "unwrapKey"
  | "verify"
  | "wrapKey";
type KeyFormat = "jwk" | "pkcs8" | "raw" | "spki";
type AlgorithmIdentifier = string | { name: string; [parameter: string]: any };
interface CryptoKeyPair {
  privateKey: CryptoKey;
  publicKey: CryptoKey;
}
declare class CryptoKey {
  private constructor();
  readonly algorithm: { name: string; [parameter: string]: any };
  readonly extractable: boolean;
  readonly type: "private" | "public" | "secret";
  readonly usages: KeyUsage[];
}
declare class SubtleCrypto {
  private constructor();
  decrypt(algorithm: AlgorithmIdentifier, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
  deriveBits(algorithm: AlgorithmIdentifier, key: CryptoKey, length?: number | null): Promise<ArrayBuffer>;
  deriveKey(
    algorithm: AlgorithmIdentifier,
    key: CryptoKey,
    derived: AlgorithmIdentifier,
    extractable: boolean,
    usages: Iterable<KeyUsage>,
  ): Promise<CryptoKey>;
  digest(algorithm: AlgorithmIdentifier, data: BufferSource): Promise<ArrayBuffer>;
  encrypt(algorithm: AlgorithmIdentifier, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
  exportKey(format: "jwk", key: CryptoKey): Promise<Record<string, any>>;
  exportKey(format: Exclude<KeyFormat, "jwk">, key: CryptoKey): Promise<ArrayBuffer>;
  generateKey(algorithm: AlgorithmIdentifier, extractable: boolean, usages: Iterable<KeyUsage>): Promise<any>;
  importKey(
    format: KeyFormat,
    data: BufferSource | Record<string, any>,
    algorithm: AlgorithmIdentifier,
    extractable: boolean,
    usages: Iterable<KeyUsage>,
  ): Promise<CryptoKey>;
  sign(algorithm: AlgorithmIdentifier, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
  unwrapKey(
    format: KeyFormat,
    wrapped: BufferSource,
    key: CryptoKey,
    algorithm: AlgorithmIdentifier,
    unwrapped: AlgorithmIdentifier,
    extractable: boolean,
    usages: Iterable<KeyUsage>,
  ): Promise<CryptoKey>;
  verify(algorithm: AlgorithmIdentifier, key: CryptoKey, signature: BufferSource, data: BufferSource): Promise<boolean>;
  wrapKey(format: KeyFormat, key: CryptoKey, wrapping: CryptoKey, algorithm: AlgorithmIdentifier): Promise<ArrayBuffer>;
}
declare class Crypto {
  private constructor();
  readonly subtle: SubtleCrypto;
  getRandomValues<T extends ArrayBufferView>(array: T): T;
  randomUUID(): `${string}-${string}-${string}-${string}-${string}`;
}
declare var crypto: Crypto;

declare class Performance extends EventTarget {
  private constructor();
  readonly timeOrigin: number;
  clearMarks(name?: string): void;
  clearMeasures(name?: string): void;
  getEntries(): any[];
  getEntriesByName(name: string, type?: string): any[];
  getEntriesByType(type: string): any[];
  mark(name: string, options?: { detail?: any; startTime?: number }): any;
  measure(name: string, options?: any, end?: string): any;
  now(): number;
  toJSON(): any;
}
declare var performance: Performance;
