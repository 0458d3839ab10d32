import assert from 'node:assert/strict';
import { test } from 'node:test';

import { nullTranslator } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';
import React from 'react';

import { ApiError, type ExecutionState, type Trace } from '../../src/api';
import { isExecuting, RunLookup } from '../../src/results/alive';
import { BATCH, TimelineModel } from '../../src/results/model';
import { Timeline, endText } from '../../src/results/timeline';
import {
  argumentsOf,
  concurrency,
  density,
  duration,
  read,
  share,
  size,
  ticks,
  wait,
  type RunEnd
} from '../../src/results/trace';

const trans = nullTranslator.load('');

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

test('calls are rows, in their order; the scale begins where the type check ends', () => {
  const found = run([call(1, 0.5, 1, { arguments: '{}', argument_bytes: 2 }), call(2, 1, 2, { error: 'no' })], {
    check: { outcome: 'passed', duration_s: 0.4 }
  });
  assert.deepEqual(
    found.rows.map(row => [row.id, row.name, row.beganS, row.endedS, row.error]),
    [
      [1, 'Sales.load', 0.5, 1, null],
      [2, 'Sales.load', 1, 2, 'no']
    ]
  );
  assert.deepEqual(found.rows[0]?.parts, [{ name: 'arguments', text: '{}', bytes: 2 }]);
  assert.deepEqual(found.check, { outcome: 'passed', durationS: 0.4, message: '' });
  assert.deepEqual([share(found, 0.2), share(found, 0.4), share(found, 2)], [0, 0, 1]);
  assert.deepEqual(ticks(found), [0.5, 1, 1.5]);
});

test('a call under way reaches to what the trace knows last', () => {
  const found = run([call(1, 0.5)], { state: 'running', duration_s: 3 });
  assert.deepEqual([found.rows[0]?.isUnderWay, found.rows[0]?.endedS, share(found, 0.75)], [true, 3, 0.25]);
});

test('concurrency is the most calls under way at once; one that begins as another ends is not beside it', () => {
  assert.equal(concurrency(run([call(1, 0, 1), call(2, 1, 2)]).rows), 1);
  assert.equal(concurrency(run([call(1, 0, 2), call(2, 0.5, 1.5), call(3, 1, 3), call(4, 2.5, 3)]).rows), 3);
  assert.equal(concurrency([]), 0);
  assert.equal(concurrency(run([call(1, 0), call(2, 1)]).rows), 2);
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
  const [row] = model.rows;
  assert.ok(row);
  model.toggle(row);
  model.json = trace([call(1, 0, 1), call(2, 1, 2)]);
  const [group, first, second] = model.rows;
  assert.ok(group?.group && first?.call && second?.call, 'the calls of the group are listed, as one of them was open');
  assert.deepEqual([model.isOpen(first.call), model.isOpen(second.call)], [true, false]);
  model.toggle(first);
  assert.ok(!model.isOpen(first.call));
  assert.deepEqual(JSON.parse(model.text), trace([call(1, 0, 1), call(2, 1, 2)]));
});

test('keys lead through the rows and stop at both ends', () => {
  const model = new TimelineModel();
  assert.ok(!model.move('Enter'));
  assert.ok(model.move('ArrowDown') && model.current === 0);
  model.json = trace([call(1, 0, 1), call(2, 0, 1, { tool: 'A.b' }), call(3, 0, 1)]);
  const seen = ['ArrowDown', 'ArrowDown', 'ArrowDown', 'ArrowUp', 'Home', 'ArrowUp', 'End'].map(key => {
    model.move(key);
    return model.current;
  });
  assert.deepEqual(seen, [1, 2, 2, 1, 0, 0, 2]);
  model.json = trace([]);
  assert.equal(model.current, 0);
});

test('a timeline never folds itself, however many calls come', () => {
  const model = new TimelineModel();
  for (const count of [1, 8, 9, 400]) {
    model.json = trace(Array.from({ length: count }, (_, n) => call(n + 1, n, n + 1)));
    assert.ok(!model.isFolded);
  }
  model.fold();
  model.json = trace([call(1, 0, 1)]);
  assert.ok(model.isFolded, 'only the reader folds and unfolds it');
});

test('consecutive calls of one tool are one row, which counts those that the trace leaves out', () => {
  const calls = [
    call(1, 0, 1, { tool: 'A.find' }),
    ...[2, 3, 4].map(n => call(n, 1, 1.5)),
    call(5, 1.6, 1.7, { tool: 'A.find' })
  ];
  const tools = [
    { tool: 'A.find', calls: 2, ended: 2, total_s: 1.1, most: 1 },
    { tool: 'Sales.load', calls: 624, ended: 624, total_s: 6.24, most: 64, ended_s: 1.9 }
  ];
  const found = run(calls, { calls_in_all: 626, tools });
  assert.deepEqual(
    found.groups.map(({ name, rows, left, leftUntilS }) => [name, rows.length, left, leftUntilS]),
    [
      ['A.find', 1, 0, 0],
      ['Sales.load', 3, 621, 1.9],
      ['A.find', 1, 0, 0]
    ]
  );
  assert.deepEqual(
    found.tools.map(({ name, count, meanS, most }) => [name, count, meanS, most]),
    [
      ['A.find', 2, 0.55, 1],
      ['Sales.load', 624, 0.01, 64]
    ]
  );
  const model = new TimelineModel();
  model.json = trace(calls, { calls_in_all: 626, tools });
  assert.equal(model.rows.length, 3);
  const [, group] = model.rows;
  assert.ok(group?.group);
  model.toggle(group);
  assert.deepEqual(
    model.rows.map(row => row.call?.id ?? 0),
    [1, 0, 2, 3, 4, 5]
  );
});

test('a call shows the first argument that differs from the other calls of its tool', () => {
  const given = (n: number, json: string) => call(n, n, n + 1, { arguments: json, argument_bytes: json.length });
  const found = run([
    given(1, '{"kind":"city","name":"Oslo","more":{"a":1}}'),
    given(2, '{"kind":"city","name":"Rome","more":{"a":1}}'),
    call(3, 3, 4, { tool: 'A.b', arguments: '{"id":7}', argument_bytes: 8 }),
    call(4, 3, 4, { tool: 'A.c' })
  ]);
  assert.deepEqual(
    found.rows.map(row => row.argument),
    ['Oslo', 'Rome', '7', '']
  );
  assert.deepEqual(
    [...argumentsOf('{"a":1,"b":"x\\"y","c":"cut of')],
    [
      ['a', '1'],
      ['b', 'x"y']
    ]
  );
  for (const json of ['', '{', '[1]', 'null', '{"a":', '{"a":12', '{"__proto__":1}']) {
    assert.ok(argumentsOf(json).size <= 1);
  }
});

test('a call waits for a person, then for its turn, then works', () => {
  const kinds = (...calls: object[]) => run(calls).rows.map(row => row.phases.map(({ kind, toS }) => [kind, toS]));
  assert.deepEqual(kinds(call(1, 0, 2)), [[['work', 2]]]);
  assert.deepEqual(kinds(call(1, 0, 2, { decided_s: 1, begun_s: 1.5 })), [
    [
      ['person', 1],
      ['queued', 1.5],
      ['work', 2]
    ]
  ]);
  assert.deepEqual(kinds(call(1, 0, undefined, { note: "waits for a person's consent in JupyterLab" })), [
    [['person', 2]]
  ]);
  assert.deepEqual(kinds(call(1, 0, undefined, { note: 'waits: a cell of the notebook is running' })), [
    [['queued', 2]]
  ]);
  assert.deepEqual(kinds(call(1, 0, 2, { decided_s: 2, decision: 'denied', error: 'no' })), [[['person', 2]]]);
});

test('strips count what works and waits in each column, and mark failures', () => {
  const found = run([call(1, 0, 1), call(2, 0, 0.5, { error: 'no' }), call(3, 1, 2, { decided_s: 1.5 })]);
  assert.deepEqual(density(found, found.rows, 4), {
    working: [2, 1, 0, 1],
    waiting: [0, 0, 1, 0],
    failed: [false, true, false, false]
  });
});

test('the end of a run is said in words, and red is for errors only', () => {
  const refused = call(1, 0, 120, { decision: 'unanswered', decided_s: 120, error: 'nobody answered' });
  const found = run([refused], { state: 'failed', failed_calls: 1, error: { name: 'Denied', message: 'x' } });
  assert.deepEqual([found.end, found.failedCalls, found.refusedCalls], ['unanswered', 0, 1]);
  const ends: [RunEnd, string, string][] = [
    ['ok', 'cell', ''],
    ['failed', 'cell', 'failed'],
    ['person', 'agent', 'stopped by you'],
    ['caller', 'cell', 'stopped by you'],
    ['caller', 'agent', 'stopped by the agent'],
    ['limit', 'cell', 'stopped at a limit'],
    ['kernel', 'cell', 'cut off · the kernel was restarted'],
    ['denied', 'agent', 'denied by you']
  ];
  for (const [end, by, text] of ends) {
    assert.equal(endText(end, by, trans, { life: 'unknown' }), text);
  }
  assert.equal(endText('unanswered', 'agent', trans, { life: 'unknown', waitedS: 120 }), 'not answered in 2 min');
  assert.deepEqual([45.4, 90, 120.3].map(wait), ['45 s', '1 min 30 s', '2 min']);
  const cut = run([call(1, 0, 1, { error: 'cancelled' })], { state: 'stopped', failed_calls: 1 });
  assert.deepEqual([cut.failedCalls, cut.rows[0]?.isCut, cut.rows[0]?.error], [0, true, null]);
  const running = (['unknown', 'alive', 'cut'] as const).map(life => endText('running', 'cell', trans, { life }));
  assert.deepEqual(running, ['…', 'running …', 'cut off · the kernel was restarted']);
  for (const by of [undefined, 'toString', 7]) {
    assert.equal(run([], { state: 'stopped', stopped_by: by }).end, 'stopped');
  }
});

async function drawn(json: object): Promise<HTMLElement> {
  const model = new TimelineModel();
  model.json = json;
  const widget = ReactWidget.create(React.createElement(Timeline, { model, trans, copy: () => undefined }));
  Widget.attach(widget, document.body);
  while (!widget.node.firstElementChild) {
    await new Promise(done => setTimeout(done));
  }
  return widget.node;
}

test('the head counts calls by tool, and failures apart from denials', async () => {
  const calls = [
    call(1, 0.5, 1, { tool: 'Geo.find' }),
    call(2, 1, 1.5, { tool: 'Geo.offset' }),
    call(3, 1, 1.5, { tool: 'Geo.offset', error: 'no' }),
    call(4, 1.5, 1.6, { tool: 'Shop.refund', decision: 'denied', error: 'denied' })
  ];
  const node = await drawn(trace(calls, { failed_calls: 2, check: { outcome: 'passed', duration_s: 0.041 } }));
  assert.deepEqual(
    [...node.querySelectorAll('.pctx-Timeline-fold > span:not(.pctx-Timeline-caret)')].map(one => one.textContent),
    ['4 calls', 'find 1', 'offset 2 (mean 500 ms, up to 2 at once)', 'refund 1', '1 failed', '1 denied', '2.00 s']
  );
  assert.equal(node.querySelector('.pctx-Timeline-check')?.textContent, '✓ 41 ms');
  const rows = [...node.querySelectorAll('.pctx-Timeline-row')];
  assert.deepEqual(
    rows.map(row => row.querySelector('.pctx-Timeline-name')?.textContent?.trim()),
    ['Geo.find', 'Geo.offset × 2', 'Shop.refund']
  );
  assert.equal(rows[0]?.getAttribute('title'), 'started 459 ms, took 500 ms');
  assert.equal(node.querySelectorAll('.pctx-is-refused .pctx-Timeline-wrong').length, 0);
});

test('a mark at the very end of the console is inside its track', async () => {
  const node = await drawn(trace([call(1, 0, 2)], { console: [{ at_s: 2, text: 'last' }] }));
  const mark = node.querySelector<HTMLElement>('.pctx-Timeline-mark');
  assert.match(mark?.getAttribute('style') ?? '', /calc\(100% - 2px\)/);
});

test('of very many calls a first part is drawn, and the rest when the reader gets there', () => {
  const model = new TimelineModel();
  model.json = trace(Array.from({ length: 2000 }, (_, n) => call(n + 1, n, n + 1, { tool: `A.t${n % 2}` })));
  assert.deepEqual([model.rows.length, model.hasMore], [BATCH, true]);
  model.more();
  assert.equal(model.rows.length, 2 * BATCH);
  model.move('End');
  assert.deepEqual([model.rows.length, model.current, model.hasMore], [2000, 1999, false]);
});

test('a run that a trace calls running is looked up, all of them with one request', async () => {
  let requests = 0;
  const ended = { id: 'b', state: 'stopped' } as Trace;
  const runs = new RunLookup({
    executions: async () => {
      requests++;
      await Promise.resolve();
      return [{ id: 'a', state: 'running' } as ExecutionState, { id: 'b', state: 'stopped' } as ExecutionState];
    },
    trace: async () => Promise.resolve(ended)
  });
  const found = await Promise.all(['a', 'b', 'c'].map(async id => runs.find(id)));
  assert.deepEqual(found, [{ life: 'alive' }, { trace: ended }, { life: 'cut' }]);
  assert.equal(requests, 1);
});

test('a server without pctx is asked once; one that does not answer is asked less and less often', async () => {
  let requests = 0;
  let status = 0;
  let now = 0;
  const source = {
    executions: async () => {
      requests++;
      return Promise.reject(new ApiError('no', status, false));
    },
    trace: async () => Promise.reject(new Error('not asked'))
  };
  const runs = new RunLookup(source, () => now);
  for (; now <= 100_000; now += 1_000) {
    await assert.rejects(Promise.all([runs.find('a'), runs.find('b')]));
  }
  assert.equal(requests, 6);
  now += 60_000;
  status = 404;
  assert.deepEqual([await runs.find('a'), await runs.find('a')], [{ life: 'cut' }, { life: 'cut' }]);
  assert.equal(requests, 7);
});

test('a cell is executing while its prompt has a star', () => {
  const cell = document.createElement('div');
  cell.className = 'jp-CodeCell';
  const [prompt, output] = [document.createElement('div'), document.createElement('div')];
  prompt.className = 'jp-InputPrompt';
  prompt.textContent = '[*]:';
  cell.append(prompt, output);
  assert.ok(isExecuting(output));
  prompt.textContent = '[ ]:';
  assert.ok(!isExecuting(output));
  assert.ok(!isExecuting(document.body));
});

test('a run as short as a number can be has a scale that can be drawn', () => {
  for (const durationS of [5e-324, 1e-310, 1e-9, 1e300, 1.7e308]) {
    const found = run([], { duration_s: durationS });
    const drawn = ticks(found);
    assert.equal(new Set(drawn).size, drawn.length);
    assert.ok(drawn.every(at => Number.isFinite(at) && share(found, at) <= 1));
  }
});
