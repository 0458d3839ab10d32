/**
 * Reads a trace into a form that can be drawn. A trace comes from a notebook's file, so its shape is checked.
 *
 * Its fields are those of `pctx_jupyter/session/trace.py`. It knows no DOM, and has no texts: the view has them.
 */

export const MIME = 'application/vnd.pctx.trace+json';

export type RunState = 'running' | 'ok' | 'failed' | 'stopped';
export type ConsoleLevel = 'debug' | 'log' | 'warn' | 'error';

/** One tool call, or the type check before the run. */
export interface TimelineRow {
  /** The call's number; 0: the type check. */
  id: number;
  name: string;
  /** Seconds after the run began. */
  beganS: number;
  /** For a call that is under way: the end of the trace. */
  endedS: number;
  isUnderWay: boolean;
  /** What delays the call, or delayed it until the run ended; for the type check, its finding. */
  note: string;
  /** The decision on the call; empty if it needed no consent. */
  decision: string;
  error: string | null;
  parts: CallPayload[];
}

/** Arguments or a result: the beginning of its JSON, and its whole size. */
export interface CallPayload {
  name: 'arguments' | 'result';
  text: string;
  bytes: number;
}

export interface TimelineLine {
  atS: number;
  level: ConsoleLevel;
  text: string;
}

/** Why a program failed. */
export interface RunFailure {
  name: string;
  message: string;
}

/** One run. */
export interface TracedRun {
  state: RunState;
  /** The caller: a cell, an agent, another notebook. */
  askedBy: string;
  /** Seconds it took, or has taken so far. */
  durationS: number;
  rows: TimelineRow[];
  lines: TimelineLine[];
  areLinesCut: boolean;
  /** All calls, those left out of `rows` among them. */
  callsInAll: number;
  failedCalls: number;
  failure: RunFailure | null;
}

const STATES: readonly string[] = ['running', 'ok', 'failed', 'stopped'];
const LEVELS: readonly string[] = ['debug', 'log', 'warn', 'error'];
/** Rows and lines that are drawn at most; our own traces have fewer. */
const MOST = 1000;

/** Read a trace; null: it is not valid. */
export function read(json: unknown): TracedRun | null {
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
    state: text(json.state) as RunState,
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
export function callsOf(run: TracedRun): TimelineRow[] {
  return run.rows.filter(row => row.id !== 0);
}

/** How many calls were under way at the same time, at most. */
export function concurrency(run: TracedRun): number {
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
export function share(run: TracedRun, atS: number): number {
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

/** Round times below the bars: about four. */
export function ticks(run: TracedRun): number[] {
  // Below a microsecond, calls cannot be distinguished, and the step would not be greater than zero.
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

function rowOf(call: Record<string, unknown>, nowS: number): TimelineRow {
  const isUnderWay = typeof call.ended_s !== 'number';
  const beganS = seconds(call.started_s);
  const parts: CallPayload[] = [
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

function checkOf(check: Record<string, unknown>): TimelineRow {
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

function lineOf(line: Record<string, unknown>): TimelineLine {
  const level = text(line.level);
  const usual: ConsoleLevel = line.stream === 'stderr' ? 'error' : 'log';
  return {
    atS: seconds(line.at_s),
    level: LEVELS.includes(level) ? (level as ConsoleLevel) : usual,
    text: text(line.text)
  };
}

function failureOf(error: Record<string, unknown>): RunFailure {
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

/** Read a number that is neither negative nor infinite. */
function seconds(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0;
}
