/**
 * What a trace says, ready to be drawn. A notebook's file brings it, so nothing about its shape is believed.
 *
 * Its fields are those of `pctx_jupyter/session/trace.py`. Knows no DOM, and no words: what is said of it, the view says.
 */

export const MIME = 'application/vnd.pctx.trace+json';

export type State = 'running' | 'ok' | 'failed' | 'stopped';
export type Level = 'debug' | 'log' | 'warn' | 'error';

/** One tool call, or the type check before the run. */
export interface Row {
  /** The call's number; 0: the type check. */
  id: number;
  name: string;
  /** Seconds after the run began. */
  beganS: number;
  /** While it is under way: how far the trace reaches. */
  endedS: number;
  isUnderWay: boolean;
  /** What keeps it while it is under way, or kept it until the run ended; of the check: what it found. */
  note: string;
  /** Who decided what about the call; empty where nobody had to. */
  decision: string;
  error: string | null;
  parts: Part[];
}

/** Arguments or a result: the beginning of its JSON, and how much there was. */
export interface Part {
  name: 'arguments' | 'result';
  text: string;
  bytes: number;
}

export interface Line {
  atS: number;
  level: Level;
  text: string;
}

/** Why a program failed. */
export interface Failure {
  name: string;
  message: string;
}

/** One run. */
export interface Run {
  state: State;
  /** Who asked for it: a cell, an agent, another notebook. */
  askedBy: string;
  /** Seconds it took, or has taken so far. */
  durationS: number;
  rows: Row[];
  lines: Line[];
  areLinesCut: boolean;
  /** All calls, those left out of `rows` among them. */
  callsInAll: number;
  failedCalls: number;
  failure: Failure | null;
}

const STATES: readonly string[] = ['running', 'ok', 'failed', 'stopped'];
const LEVELS: readonly string[] = ['debug', 'log', 'warn', 'error'];
/** Rows and lines that are drawn at most; our own traces have fewer. */
const MOST = 1000;

/** Read a trace; null: it is none. */
export function read(json: unknown): Run | null {
  if (!isRecord(json) || !STATES.includes(text(json.state))) {
    return null;
  }
  const calls = list(json.calls);
  const known = calls.map(call => Math.max(seconds(call.started_s), seconds(call.ended_s)));
  const durationS = Math.max(seconds(json.duration_s), ...known, 0);
  const rows = calls.map(call => rowOf(call, durationS));
  const check = isRecord(json.check) ? json.check : null;
  if (check) {
    rows.unshift(checkOf(check));
  }
  return {
    state: text(json.state) as State,
    askedBy: text(json.asked_by),
    durationS,
    rows,
    lines: list(json.console).map(lineOf),
    areLinesCut: json.console_cut === true,
    callsInAll: Math.max(seconds(json.calls_in_all), calls.length),
    failedCalls: seconds(json.failed_calls),
    failure: isRecord(json.error) ? failureOf(json.error) : null
  };
}

/** The calls among the rows. */
export function callsOf(run: Run): Row[] {
  return run.rows.filter(row => row.id !== 0);
}

/** How many calls were under way at the same time, at most. */
export function concurrency(run: Run): number {
  const moments = callsOf(run).flatMap(row => [
    { at: row.beganS, change: 1 },
    ...(row.isUnderWay ? [] : [{ at: row.endedS, change: -1 }])
  ]);
  moments.sort((a, b) => a.at - b.at || a.change - b.change);
  let now = 0;
  let most = 0;
  for (const { change } of moments) {
    now += change;
    most = Math.max(most, now);
  }
  return most;
}

/** Where a moment is on the timeline: from 0 to 1. */
export function share(run: Run, atS: number): number {
  return run.durationS > 0 ? Math.min(1, Math.max(0, atS / run.durationS)) : 0;
}

/** A time for people: `0.4 ms`, `120 ms`, `1.25 s`, `2 min 5 s`. */
export function duration(s: number): string {
  if (s < 0.0095) {
    return `${(s * 1000).toFixed(1)} ms`;
  }
  if (s < 0.9995) {
    return `${(s * 1000).toFixed(0)} ms`;
  }
  return s < 60 ? `${s.toFixed(2)} s` : `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
}

/** A number of bytes for people. */
export function size(bytes: number): string {
  for (const [unit, scale] of [
    ['MB', 1_000_000],
    ['kB', 1_000]
  ] as const) {
    if (bytes >= scale) {
      return `${(bytes / scale).toFixed(1)} ${unit}`;
    }
  }
  return bytes === 1 ? '1 byte' : `${bytes} bytes`;
}

/** Times below the bars: some four round ones. */
export function ticks(run: Run): number[] {
  // Below a microsecond there is nothing to tell apart, and a step may be no number greater than zero.
  if (!(run.durationS > 1e-6)) {
    return [];
  }
  const rough = run.durationS / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find(factor => factor * power >= rough) ?? 10);
  const found = [];
  for (let i = 1; i * step <= run.durationS && i < 10; i++) {
    found.push(i * step);
  }
  return found;
}

function rowOf(call: Record<string, unknown>, nowS: number): Row {
  const isUnderWay = typeof call.ended_s !== 'number';
  const beganS = seconds(call.started_s);
  const parts: Part[] = [
    { name: 'arguments', text: text(call.arguments), bytes: seconds(call.argument_bytes) },
    { name: 'result', text: text(call.result), bytes: seconds(call.result_bytes) }
  ];
  return {
    id: Math.max(1, seconds(call.call)),
    name: text(call.tool),
    beganS,
    endedS: isUnderWay ? Math.max(nowS, beganS) : Math.max(seconds(call.ended_s), beganS),
    isUnderWay,
    note: text(call.note),
    decision: text(call.decision),
    error: typeof call.error === 'string' ? call.error : null,
    parts: parts.filter(part => part.text !== '' || part.bytes > 0)
  };
}

function checkOf(check: Record<string, unknown>): Row {
  return {
    id: 0,
    name: '',
    beganS: 0,
    endedS: seconds(check.duration_s),
    isUnderWay: false,
    note: text(check.message),
    decision: '',
    error: check.outcome === 'failed' ? text(check.message) : null,
    parts: []
  };
}

function lineOf(line: Record<string, unknown>): Line {
  const level = text(line.level);
  const usual: Level = line.stream === 'stderr' ? 'error' : 'log';
  return {
    atS: seconds(line.at_s),
    level: LEVELS.includes(level) ? (level as Level) : usual,
    text: text(line.text)
  };
}

function failureOf(error: Record<string, unknown>): Failure {
  return { name: text(error.name), message: text(error.message) };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function list(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord).slice(0, MOST) : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** A number that is neither negative nor endless. */
function seconds(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0;
}
