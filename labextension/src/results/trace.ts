/**
 * Reads a trace into a form that can be drawn. A trace comes from a notebook's file, so its shape is checked.
 *
 * Its fields are those of `pctx_jupyter/session/trace.py`. It knows no DOM, and has no texts: the view has them.
 */

export const MIME = 'application/vnd.pctx.trace+json';

export type RunState = 'running' | 'ok' | 'failed' | 'stopped';
export type ConsoleLevel = 'debug' | 'log' | 'warn' | 'error';

/**
 * How a run ended, or that it has not. A denied call ended it: `denied`, `unanswered`, `forbidden`. Something stopped it:
 * `person`, `caller`, `limit`, `sandbox`, `kernel`, `connection`, or `stopped` where the trace does not say what.
 */
export type RunEnd =
  | 'running'
  | 'ok'
  | 'failed'
  | 'stopped'
  | 'denied'
  | 'unanswered'
  | 'forbidden'
  | 'person'
  | 'caller'
  | 'limit'
  | 'sandbox'
  | 'kernel'
  | 'connection';

/** A part of a call's time: it waits for a person, waits for its turn, or works. */
export interface CallPhase {
  kind: 'person' | 'queued' | 'work';
  fromS: number;
  toS: number;
}

/** One tool call. */
export interface TimelineRow {
  /** The call's number. */
  id: number;
  name: string;
  /** Seconds after the run began. */
  beganS: number;
  /** For a call that is under way: the end of the trace. */
  endedS: number;
  isUnderWay: boolean;
  /** Whether the end of the run cut it off, which is no failure. */
  isCut: boolean;
  phases: CallPhase[];
  /** The first of its arguments that differs from those of the tool's other calls, as text. */
  argument: string;
  /** What delays the call, or delayed it until the run ended. */
  note: string;
  /** The decision on the call; empty if it needed no consent. */
  decision: string;
  /** Whether the decision was against it. */
  isRefused: boolean;
  error: string | null;
  parts: CallPayload[];
}

/** Consecutive calls of one tool. */
export interface CallGroup {
  /** The number of its first call. */
  id: number;
  name: string;
  rows: TimelineRow[];
  /** Its calls that the trace does not have one by one. */
  left: number;
  /** When the last of those ended; 0: there is none. */
  leftUntilS: number;
}

/** The calls of one tool. */
export interface CallTotals {
  name: string;
  count: number;
  /** Seconds that one of them takes; null: none has ended. */
  meanS: number | null;
  /** How many were under way at once, at most. */
  most: number;
}

/** The type check before the run. */
export interface TypeCheck {
  outcome: 'passed' | 'failed' | 'unchecked';
  durationS: number;
  message: string;
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
  id: string;
  state: RunState;
  end: RunEnd;
  /** The call that a decision ended the run with; null: none did. */
  refusal: TimelineRow | null;
  /** The caller: a cell, an agent, another notebook. */
  askedBy: string;
  /** Seconds it took, or has taken so far. */
  durationS: number;
  /** Where its scale begins: the end of the type check. */
  zeroS: number;
  check: TypeCheck | null;
  rows: TimelineRow[];
  groups: CallGroup[];
  tools: CallTotals[];
  /** Tools that `tools` leaves out. */
  toolsLeft: number;
  lines: TimelineLine[];
  areLinesCut: boolean;
  /** All calls, those left out of `rows` among them. */
  callsInAll: number;
  /** Without those that were denied. */
  failedCalls: number;
  refusedCalls: number;
  failure: RunFailure | null;
}

const STATES: readonly string[] = ['running', 'ok', 'failed', 'stopped'];
const STOPPED_BY: readonly string[] = ['person', 'caller', 'limit', 'sandbox', 'kernel', 'connection'];
const REFUSED: readonly string[] = ['denied', 'unanswered', 'forbidden'];
const OUTCOMES: readonly string[] = ['passed', 'failed', 'unchecked'];
const LEVELS: readonly string[] = ['debug', 'log', 'warn', 'error'];
/** The error of a program that a denied call ended: `DENIED` in `trace.py`. */
const DENIED = 'Denied';
/** The error of a call that the end of its program cut off: `CUT_OFF` in `trace.py`. */
const CUT_OFF = 'cancelled';
/** How notes of waiting calls begin: `WAITS` in `approvals.py`, and the `hindrance` in `guests.py`. */
const FOR_PERSON = 'waits for a person';
const FOR_TURN = 'waits:';
/** Calls and lines that are read at most; our own traces have fewer. */
const MOST = 2000;
/** Tools whose calls are summarised: as many as our own traces count one by one. */
const MOST_TALLIES = 50;
/** Characters of a call's arguments that are read; our own traces have fewer. */
const MOST_READ = 2000;
/** Characters of an argument behind a name. */
const MOST_ARGUMENT = 60;

/** Read a trace; null: it is not valid. */
export function read(json: unknown): TracedRun | null {
  if (!isRecord(json) || !STATES.includes(text(json.state))) {
    return null;
  }
  const calls = list(json.calls);
  const known = calls.map(call => Math.max(seconds(call.started_s), seconds(call.ended_s)));
  const durationS = Math.max(seconds(json.duration_s), ...known, 0);
  const check = isRecord(json.check) ? checkOf(json.check) : null;
  const state = text(json.state) as RunState;
  const rows = calls.map(call => rowOf(call, durationS, state));
  distinguish(rows);
  const tallies = talliesOf(json.tools, rows);
  const refused = rows.filter(row => row.isRefused);
  const failure = isRecord(json.error) ? failureOf(json.error) : null;
  const refusal = (state === 'failed' && failure?.name === DENIED && refused.at(-1)) || null;
  return {
    id: text(json.id),
    state,
    end: endOf(state, text(json.stopped_by), refusal),
    refusal,
    askedBy: text(json.asked_by),
    durationS,
    zeroS: Math.min(check?.durationS ?? 0, durationS, ...rows.map(row => row.beganS)),
    check,
    rows,
    groups: groupsOf(rows, tallies),
    tools: tallies.map(({ name, count, meanS, most }) => ({ name, count, meanS, most })),
    toolsLeft: Math.max(0, list(json.tools).length - tallies.length),
    lines: list(json.console).map(lineOf),
    areLinesCut: json.console_cut === true,
    callsInAll: Math.max(seconds(json.calls_in_all), calls.length),
    failedCalls: Math.max(0, seconds(json.failed_calls) - refused.length - rows.filter(row => row.isCut).length),
    refusedCalls: refused.length,
    failure
  };
}

function endOf(state: RunState, by: string, refusal: TimelineRow | null): RunEnd {
  if (refusal) {
    return refusal.decision as RunEnd;
  }
  return state === 'stopped' && STOPPED_BY.includes(by) ? (by as RunEnd) : state;
}

/** How many of these calls were under way at the same time, at most. */
export function concurrency(rows: readonly TimelineRow[]): number {
  const moments = rows.flatMap(row => [
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

/** Where a moment is on the timeline: from 0, the end of the type check, to 1. */
export function share(run: TracedRun, atS: number): number {
  const spanS = run.durationS - run.zeroS;
  return spanS > 0 ? Math.min(1, Math.max(0, (atS - run.zeroS) / spanS)) : 0;
}

/** What happens in the columns of a strip: how many calls work and wait, and where one failed. */
export interface Density {
  working: number[];
  waiting: number[];
  failed: boolean[];
}

/** Divide the timeline into columns, and count the calls in each. */
export function density(run: TracedRun, rows: readonly TimelineRow[], columns: number): Density {
  const working = new Array<number>(columns + 1).fill(0);
  const waiting = new Array<number>(columns + 1).fill(0);
  const failed = new Array<boolean>(columns).fill(false);
  const column = (atS: number): number => Math.min(columns - 1, Math.floor(share(run, atS) * columns));
  for (const row of rows) {
    for (const { kind, fromS, toS } of row.phases) {
      const counts = kind === 'work' ? working : waiting;
      const from = column(fromS);
      const end = Math.max(from + 1, Math.ceil(share(run, toS) * columns));
      counts[from] = (counts[from] ?? 0) + 1;
      counts[end] = (counts[end] ?? 0) - 1;
    }
    if (row.error !== null && !row.isRefused) {
      failed[column(row.endedS)] = true;
    }
  }
  return { working: summed(working, columns), waiting: summed(waiting, columns), failed };
}

function summed(changes: number[], columns: number): number[] {
  let now = 0;
  return changes.slice(0, columns).map(change => (now += change));
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

/** A time that somebody waited, in few words: `2 min`, `45 s`. */
export function wait(s: number): string {
  const whole = Math.round(s);
  const [minutes, rest] = [Math.floor(whole / 60), whole % 60];
  return [...(minutes ? [`${minutes} min`] : []), ...(rest || !minutes ? [`${rest} s`] : [])].join(' ');
}

/** The step between the round times of the scale, in seconds: for about four of them; 0: there is no scale. */
export function step(run: TracedRun): number {
  const spanS = run.durationS - run.zeroS;
  // Below a microsecond, calls cannot be distinguished, and the step would not be greater than zero.
  if (!(spanS > 1e-6)) {
    return 0;
  }
  const rough = spanS / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find(factor => factor * power >= rough) ?? 10);
}

/** The round times of the scale after zero, in seconds after it. */
export function ticks(run: TracedRun): number[] {
  const every = step(run);
  const found = [];
  for (let i = 1; every > 0 && i * every <= run.durationS - run.zeroS && i < 10; i++) {
    found.push(i * every);
  }
  return found;
}

function rowOf(call: Record<string, unknown>, nowS: number, state: RunState): TimelineRow {
  const isUnderWay = typeof call.ended_s !== 'number';
  const beganS = seconds(call.started_s);
  const endedS = isUnderWay ? Math.max(nowS, beganS) : Math.max(seconds(call.ended_s), beganS);
  const parts: CallPayload[] = [
    { name: 'arguments', text: text(call.arguments), bytes: seconds(call.argument_bytes) },
    { name: 'result', text: text(call.result), bytes: seconds(call.result_bytes) }
  ];
  const decision = text(call.decision);
  const isCut = state === 'stopped' && (isUnderWay || call.error === CUT_OFF);
  const error = typeof call.error === 'string' && !isCut ? call.error : null;
  const isRefused = REFUSED.includes(decision) && error !== null;
  const note = text(call.note);
  return {
    id: Math.max(1, seconds(call.call)),
    name: text(call.tool),
    beganS,
    endedS,
    isUnderWay,
    isCut,
    phases: phasesOf(beganS, endedS, seconds(call.decided_s), seconds(call.begun_s), note, isRefused),
    argument: '',
    note,
    decision,
    isRefused,
    error,
    parts: parts.filter(part => part.text !== '' || part.bytes > 0)
  };
}

function phasesOf(
  beganS: number,
  endedS: number,
  decidedS: number,
  begunS: number,
  note: string,
  isRefused: boolean
): CallPhase[] {
  const phases: CallPhase[] = [];
  let fromS = beganS;
  const add = (kind: CallPhase['kind'], untilS: number): void => {
    const toS = Math.min(Math.max(untilS, fromS), endedS);
    phases.push({ kind, fromS, toS });
    fromS = toS;
  };
  if (decidedS > 0) {
    add('person', decidedS);
  }
  if (begunS > 0) {
    add('queued', begunS);
  }
  if (note.startsWith(FOR_PERSON)) {
    add('person', endedS);
  } else if (note.startsWith(FOR_TURN)) {
    add('queued', endedS);
  } else if (!isRefused || phases.length === 0) {
    add('work', endedS);
  }
  return phases;
}

/** Set the argument of each call that tells it from the tool's other calls; the first one, where there is one call. */
function distinguish(rows: readonly TimelineRow[]): void {
  const byName = new Map<string, [TimelineRow, Map<string, string>][]>();
  for (const row of rows) {
    const given = row.parts.find(part => part.name === 'arguments')?.text ?? '';
    const calls = byName.get(row.name) ?? [];
    calls.push([row, argumentsOf(given.slice(0, MOST_READ))]);
    byName.set(row.name, calls);
  }
  for (const calls of byName.values()) {
    const names = new Set(calls.flatMap(([, given]) => [...given.keys()]));
    const differing = [...names].find(name => new Set(calls.map(([, given]) => given.get(name))).size > 1);
    const chosen = differing ?? (calls.length === 1 ? [...names][0] : undefined);
    for (const [row, given] of calls) {
      row.argument = (chosen !== undefined && given.get(chosen)?.slice(0, MOST_ARGUMENT)) || '';
    }
  }
}

/** The arguments of a call as text, by name. Of JSON that is cut, those that are simple values before the cut. */
export function argumentsOf(json: string): Map<string, string> {
  const found = new Map<string, string>();
  let given: unknown;
  try {
    given = JSON.parse(json);
  } catch {
    const one = /[{,]\s*("(?:[^"\\]|\\.)*")\s*:\s*("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*(?=[,}])|true|false|null)/y;
    for (let match = one.exec(json); match; match = one.exec(json)) {
      try {
        const value: unknown = JSON.parse(match[2] ?? 'null');
        found.set(String(JSON.parse(match[1] ?? '""')), typeof value === 'string' ? value : String(value));
      } catch {
        return found; // not JSON at all
      }
    }
    return found;
  }
  if (isRecord(given)) {
    for (const [name, value] of Object.entries(given)) {
      found.set(name, typeof value === 'string' ? value : JSON.stringify(value));
    }
  }
  return found;
}

interface Tally extends CallTotals {
  endedS: number;
}

/** The calls by tool: those the trace counts, or else those it has one by one. */
function talliesOf(given: unknown, rows: readonly TimelineRow[]): Tally[] {
  const found = new Map<string, Tally>();
  for (const one of list(given).slice(0, MOST_TALLIES)) {
    const ended = seconds(one.ended);
    const meanS = ended > 0 ? seconds(one.total_s) / ended : null;
    const [name, count, most] = [text(one.tool), seconds(one.calls), seconds(one.most)];
    found.set(name, { name, count, meanS, most, endedS: seconds(one.ended_s) });
  }
  if (found.size > 0) {
    return [...found.values()];
  }
  const byName = new Map<string, TimelineRow[]>();
  for (const row of rows) {
    const calls = byName.get(row.name) ?? [];
    calls.push(row);
    byName.set(row.name, calls);
  }
  return [...byName].slice(0, MOST_TALLIES).map(([name, calls]) => {
    const ended = calls.filter(row => !row.isUnderWay);
    const totalS = ended.reduce((sum, row) => sum + row.endedS - row.beganS, 0);
    const meanS = ended.length > 0 ? totalS / ended.length : null;
    return { name, count: calls.length, meanS, most: concurrency(calls), endedS: 0 };
  });
}

/** Gather consecutive calls of one tool. Calls that the trace counts only are added to the last group of their tool. */
function groupsOf(rows: readonly TimelineRow[], tallies: readonly Tally[]): CallGroup[] {
  const groups: CallGroup[] = [];
  const kept = new Map<string, number>();
  const last = new Map<string, CallGroup>();
  for (const row of rows) {
    kept.set(row.name, (kept.get(row.name) ?? 0) + 1);
    const before = groups.at(-1);
    if (before?.name === row.name) {
      before.rows.push(row);
      continue;
    }
    const group = { id: row.id, name: row.name, rows: [row], left: 0, leftUntilS: 0 };
    groups.push(group);
    last.set(row.name, group);
  }
  for (const tally of tallies) {
    const group = last.get(tally.name);
    const left = tally.count - (kept.get(tally.name) ?? 0);
    if (group && left > 0) {
      group.left = left;
      group.leftUntilS = tally.endedS;
    }
  }
  return groups;
}

function checkOf(check: Record<string, unknown>): TypeCheck {
  const outcome = text(check.outcome);
  return {
    outcome: OUTCOMES.includes(outcome) ? (outcome as TypeCheck['outcome']) : 'unchecked',
    durationS: seconds(check.duration_s),
    message: text(check.message)
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
