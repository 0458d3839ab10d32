import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FEW, TimelineModel } from '../../src/results/model';
import { callsOf, concurrency, duration, read, share, size, ticks } from '../../src/results/trace';

const call = (number: number, began: number, ended?: number, more = {}) => ({
  call: number,
  tool: 'Sales.load',
  started_s: began,
  ended_s: ended,
  ...more
});
const trace = (calls: object[], more = {}) => ({
  state: 'ok',
  duration_s: 2,
  calls_in_all: calls.length,
  calls,
  ...more
});

function run(calls: object[], more = {}) {
  const found = read(trace(calls, more));
  assert.ok(found);
  return found;
}

test('calls are rows, in their order, the type check before them', () => {
  const found = run([call(1, 0.5, 1, { arguments: '{}', argument_bytes: 2 }), call(2, 1, 2, { error: 'no' })], {
    check: { outcome: 'passed', duration_s: 0.4 }
  });
  assert.deepEqual(
    found.rows.map(row => [row.id, row.name, row.beganS, row.endedS, row.error]),
    [
      [0, '', 0, 0.4, null],
      [1, 'Sales.load', 0.5, 1, null],
      [2, 'Sales.load', 1, 2, 'no']
    ]
  );
  assert.deepEqual(found.rows[1]?.parts, [{ name: 'arguments', text: '{}', bytes: 2 }]);
  assert.equal(callsOf(found).length, 2);
});

test('a call under way reaches to what the trace knows last', () => {
  const found = run([call(1, 0.5)], { state: 'running', duration_s: 3 });
  assert.deepEqual([found.rows[0]?.isUnderWay, found.rows[0]?.endedS, share(found, 0.75)], [true, 3, 0.25]);
});

test('concurrency is the most calls under way at once; one that begins as another ends is not beside it', () => {
  assert.equal(concurrency(run([call(1, 0, 1), call(2, 1, 2)])), 1);
  assert.equal(concurrency(run([call(1, 0, 2), call(2, 0.5, 1.5), call(3, 1, 3), call(4, 2.5, 3)])), 3);
  assert.equal(concurrency(run([])), 0);
  assert.equal(concurrency(run([call(1, 0), call(2, 1)])), 2);
});

test('what is no trace is none, and a broken one draws what it has', () => {
  for (const json of [null, undefined, 1, 'x', [], {}, { state: 'gone' }]) {
    assert.equal(read(json), null);
  }
  const found = read({
    state: 'failed',
    duration_s: 'long',
    calls: [null, 1, { call: -1, tool: {}, started_s: NaN, ended_s: -5, error: 7, arguments: [] }],
    console: [{ level: 'shout', stream: 'stderr', text: 5 }, 'x'],
    error: { message: Infinity, name: null },
    calls_in_all: -3
  });
  assert.ok(found);
  assert.deepEqual([found.durationS, found.rows.length, found.lines[0]?.level], [0, 1, 'error']);
  assert.deepEqual([found.failure?.message, found.callsInAll, share(found, 5)], ['', 1, 0]);
});

test('times and sizes are written for people', () => {
  assert.deepEqual([0.0004, 0.0099, 0.12, 0.9999, 59.9, 125].map(duration), [
    '0.4 ms',
    '10 ms',
    '120 ms',
    '1.00 s',
    '59.90 s',
    '2 min 5 s'
  ]);
  assert.deepEqual([0, 999, 1500, 2_500_000].map(size), ['0 bytes', '999 bytes', '1.5 kB', '2.5 MB']);
});

test('ticks are a few round times', () => {
  assert.deepEqual(ticks(run([], { duration_s: 1 })), [0.5, 1]);
  assert.deepEqual(ticks(run([], { duration_s: 0.9 })).length, 1);
  assert.deepEqual(ticks(run([], { duration_s: 130 })), [50, 100]);
  assert.deepEqual(ticks(run([], { duration_s: 0 })), []);
});

test('what is open stays open while the run goes on', () => {
  const model = new TimelineModel();
  model.json = trace([call(1, 0)], { state: 'running' });
  const row = model.run?.rows[0];
  assert.ok(row);
  model.toggle(row);
  model.json = trace([call(1, 0, 1), call(2, 1, 2)]);
  const [first, second] = model.run?.rows ?? [];
  assert.ok(first && second);
  assert.deepEqual([model.isOpen(first), model.isOpen(second)], [true, false]);
  model.toggle(first);
  assert.ok(!model.isOpen(first));
  assert.deepEqual(JSON.parse(model.text), trace([call(1, 0, 1), call(2, 1, 2)]));
});

test('keys lead through the rows and stop at both ends', () => {
  const model = new TimelineModel();
  assert.ok(!model.move('Enter'));
  assert.ok(model.move('ArrowDown') && model.current === 0);
  model.json = trace([call(1, 0, 1), call(2, 0, 1), call(3, 0, 1)]);
  const seen = ['ArrowDown', 'ArrowDown', 'ArrowDown', 'ArrowUp', 'Home', 'ArrowUp', 'End'].map(key => {
    model.move(key);
    return model.current;
  });
  assert.deepEqual(seen, [1, 2, 2, 1, 0, 0, 2]);
  model.json = trace([]);
  assert.equal(model.current, 0);
});

test('many calls are folded until somebody unfolds them', () => {
  const model = new TimelineModel();
  model.json = trace(Array.from({ length: FEW + 1 }, (_, n) => call(n + 1, n, n + 1)));
  assert.ok(model.isFolded);
  model.fold();
  assert.ok(!model.isFolded);
});

test('a run as short as a number can be has a scale that can be drawn', () => {
  for (const durationS of [5e-324, 1e-310, 1e-9, 1e300, 1.7e308]) {
    const found = run([], { duration_s: durationS });
    const drawn = ticks(found);
    assert.equal(new Set(drawn).size, drawn.length);
    assert.ok(drawn.every(at => Number.isFinite(at) && share(found, at) <= 1));
  }
});
