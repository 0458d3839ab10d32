// What the bar of a notebook shows of the runs that the server knows.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { nullTranslator } from '@jupyterlab/translation';

import type { ExecutionState } from '../../src/api';
import { activitiesOf } from '../../src/panel/activity';
import { activityText } from '../../src/panel/bar';

const trans = nullTranslator.load('');
let at = 100;

function run(called: Record<string, number>, more: Partial<ExecutionState> = {}): ExecutionState {
  return {
    id: String(--at),
    title: '1',
    asked_by: 'agent',
    agent: 'Claude Code',
    notebook: null,
    kernel_id: null,
    state: 'ok',
    started_at: at,
    duration_s: 1,
    calls: 99,
    failed_calls: 0,
    error: null,
    called,
    ...more
  };
}

test('programs are grouped by their owner, and only the calls of this notebook count', () => {
  const runs = [
    run({ here: 20, there: 5 }),
    run({ there: 1 }),
    run({ here: 2 }, { asked_by: 'cell', agent: '', notebook: 'Plots', kernel_id: 'there', state: 'failed' }),
    run({ here: 1 }, { state: 'failed' })
  ];
  const found = activitiesOf(runs, 'here');
  assert.deepEqual(
    found.map(activity => [activity.runs.length, activity.calls]),
    [
      [2, 21],
      [1, 2]
    ]
  );
  const [agents, plots] = found.map(activity => activityText(activity, trans));
  assert.match(agents ?? '', /^Claude Code ran 2 programs here · 21 calls · 1 failed · /);
  assert.match(plots ?? '', /^Plots ran 1 program here · 2 calls · 1 failed · /);
});

test('programs of the notebook itself are left out, those of its own agents included', () => {
  const own = { kernel_id: 'here' };
  const runs = [run({ here: 1 }, own), run({ here: 1 }, { ...own, asked_by: 'cell', agent: '', notebook: 'Here' })];
  assert.deepEqual(activitiesOf(runs, 'here'), []);
});

test('a closed line is shown again when its owner runs another program, without the closed ones', () => {
  const older = run({ here: 1 });
  const [shown] = activitiesOf([older], 'here');
  const closed = new Map([[shown?.key ?? '', older.started_at]]);
  assert.deepEqual(activitiesOf([older], 'here', closed), []);
  const newer = run({ here: 3 }, { started_at: older.started_at + 1, state: 'running' });
  const [again] = activitiesOf([newer, older], 'here', closed);
  assert.deepEqual(again?.runs, [newer]);
  assert.match(again ? activityText(again, trans) : '', /^Claude Code is running a program here · 3 calls · /);
});

test('what the server no longer lists is not counted, and the line says so', () => {
  const runs = [run({ here: 3 }, { ordinal: 12 }), run({ here: 1 }, { ordinal: 11, agent: 'Cursor' })];
  const texts = activitiesOf(runs, 'here').map(activity => activityText(activity, trans));
  assert.match(texts[0] ?? '', /^Claude Code ran at least 1 program here · at least 3 calls · /);
  assert.match(texts[1] ?? '', /^Cursor ran at least 1 program here · at least 1 call · /);
});

test('all that came after a line was closed is counted', () => {
  const [newer, older, oldest] = [run({ here: 3 }, { ordinal: 3 }), run({ here: 1 }, { ordinal: 2 }), run({ here: 1 })];
  const { key } = activitiesOf([older], 'here')[0] ?? { key: '' };
  const closed = new Map([[key, older.started_at]]);
  assert.equal(activitiesOf([newer, older], 'here', closed)[0]?.isCut, false);
  assert.equal(activitiesOf([{ ...newer, ordinal: 9 }, oldest], 'here')[0]?.isCut, true);
  assert.equal(activitiesOf([newer, older, { ...oldest, ordinal: 1 }], 'here')[0]?.isCut, false);
});
