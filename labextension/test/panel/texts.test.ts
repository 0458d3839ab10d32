import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { ExecutionState, KernelState, ToolState } from '../../src/api';
import { inert, inertLine, whole } from '../../src/inert';
import { callOf, cellOf, nameFor } from '../../src/panel/calls';
import type { Notifier } from '../../src/notifier';
import { Progress } from '../../src/panel/progress';
import { duration, size } from '../../src/panel/words';
import { nullTranslator } from '@jupyterlab/translation';

test('characters that move, hide or turn others are shown as their numbers; tabs and lines stay', () => {
  assert.equal(inert('a\tb\nc\u202ed\u0000\u200b'), 'a\tb\nc\\u202ed\\u0000\\u200b');
  assert.equal(inert('\u001b[31mred\u001b[0m'), 'red');
  assert.equal(inert('\u001b]8;;http://x\u0007link'), '\\u001b]8;;http://x\\u0007link', 'what a command says is text');
  const unseen = ['\u3164', '\u2800', '\ufe00', '\ud800', '\u034f', '\u{e0041}', '\u{e0100}', '\u{1d173}'];
  for (const one of unseen) {
    assert.match(inert(`a${one}b`), /^a(\\u[0-9a-f]{4})+b$/);
    assert.equal(JSON.parse(`"${inert(one)}"`), one);
  }
  assert.equal(inert('🙂\ufe0f é 日本'), '🙂\ufe0f é 日本');
  assert.equal(whole('\u001b[8mhidden\u001b]0;more\u0007'), '\\u001b[8mhidden\\u001b]0;more\\u0007');
  assert.equal(inert('<b>&amp;'), '<b>&amp;');
});

test('ten megabytes are cut, in a line as well', () => {
  assert.equal(inert('x'.repeat(10_000_000), 100).length, 101);
  assert.equal(inertLine(' a\n\n  b ', 100), 'a b');
  assert.ok(inertLine('\u202e'.repeat(10_000_000), 50).length <= 301);
});

const tool: ToolState = {
  path: 'Notebook.load',
  shared_as: 'Sales.load',
  signature: 'load(args?: any): Promise<any>',
  description: '',
  effects: null,
  arguments: []
};
const owner = { kernel_id: 'k', sharing: 'agents' } as KernelState;

test('a tool has its own name at home, and elsewhere the one it is shared by', () => {
  assert.equal(nameFor(tool, owner, 'k'), 'Notebook.load');
  assert.equal(nameFor(tool, owner, 'other'), null);
  assert.equal(nameFor(tool, { ...owner, sharing: 'everyone' }, 'other'), 'Sales.load');
  assert.equal(nameFor(tool, null, 'other'), 'Notebook.load', 'an MCP server’s, for all programs');
});

test('a call leaves the cursor where its arguments belong', () => {
  assert.deepEqual(callOf('A.load', tool), { text: 'await A.load()', cursor: 14 });
  const needing = callOf('A.load', { ...tool, signature: 'load(args: { n: number }): Promise<any>' });
  assert.equal(needing.text.slice(0, needing.cursor) + '|' + needing.text.slice(needing.cursor), 'await A.load({ | })');
  const named = callOf('A.load', {
    ...tool,
    signature: 'load(args: { n: number; "b-c": string }): Promise<any>',
    arguments: ['n', '"b-c"']
  });
  assert.equal(
    named.text.slice(0, named.cursor) + '|' + named.text.slice(named.cursor),
    'await A.load({ n: |, "b-c":  })'
  );
  assert.equal(named.text.slice(named.call?.from), '({ n: , "b-c":  })');
  assert.equal(cellOf('1'), '%%pctx\n1');
});

test('numbers are short', () => {
  assert.deepEqual([0.0124, 1.44, 125].map(duration), ['12 ms', '1.4 s', '2 min 5 s']);
  assert.deepEqual([12, 3400, 2e6].map(size), ['12 B', '3.4 kB', '2.0 MB']);
});

test('a long run of an agent is told of, until it ends; short ones and cells are not', t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const told: string[] = [];
  const notifier = {
    emit: (message: string) => (told.push(message), 'id'),
    update: ({ message }: { message: string }) => (told.push(message), true),
    dismiss: () => told.push('dismissed')
  } as unknown as Notifier;
  const progress = new Progress(
    nullTranslator.load(''),
    () => undefined,
    notifier,
    () => 100
  );
  const run = (id: string, more: Partial<ExecutionState>): ExecutionState => ({
    ...({ id, title: id, asked_by: 'agent', state: 'running', started_at: 98, duration_s: null } as ExecutionState),
    ...more
  });
  progress.update([run('off', {})]);
  progress.afterS = 10;
  progress.update([run('a', {}), run('b', {}), run('cell', { asked_by: 'cell' })]);
  progress.update([run('a', {}), run('b', { state: 'ok' }), run('cell', { asked_by: 'cell' })]);
  t.mock.timers.tick(7_900);
  assert.deepEqual(told, []);
  t.mock.timers.tick(200);
  assert.deepEqual(told, ['Running: a']);
  progress.update([run('a', { state: 'ok', duration_s: 12 })]);
  assert.deepEqual(told, ['Running: a', 'Done in 12.0 s: a']);
});

/** What reports on runs that take longer than a second. */
function progressOf(notifier: Notifier): Progress {
  const progress = new Progress(
    nullTranslator.load(''),
    () => undefined,
    notifier,
    () => 100
  );
  progress.afterS = 1;
  return progress;
}

test('a run that waits for a person has no notification besides its question', t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const told: string[] = [];
  const notifier = {
    emit: (message: string) => (told.push(message), 'id'),
    update: ({ message }: { message: string }) => (told.push(message), true),
    dismiss: () => told.push('dismissed')
  } as unknown as Notifier;
  const progress = progressOf(notifier);
  const run = { id: 'a', title: 'a', asked_by: 'agent', state: 'running', started_at: 90 } as ExecutionState;
  progress.update([run], new Set(['a']));
  t.mock.timers.tick(5_000);
  assert.deepEqual(told, []);
  progress.update([run]);
  t.mock.timers.tick(1);
  assert.deepEqual(told, ['Running: a']);
  progress.update([run], new Set(['a']));
  assert.deepEqual(told, ['Running: a', 'dismissed']);
});

test('the end of a long run is a failure only if it failed, in the words of the list of runs', t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const shown: string[] = [];
  const notifier = {
    emit: () => 'id',
    update: ({ type, message }: { type: string; message: string }) => (shown.push(`${type} ${message}`), true),
    dismiss: () => true
  } as unknown as Notifier;
  const progress = progressOf(notifier);
  const run = { id: 'a', title: 'load()', asked_by: 'agent', state: 'running', started_at: 90 } as ExecutionState;
  const ends: Partial<ExecutionState>[] = [
    { state: 'stopped', stopped_by: 'person' },
    { state: 'stopped', stopped_by: 'caller' },
    { state: 'failed', error: 'Denied: Cannot call Mail.send', refused: 'denied' },
    { state: 'failed', error: 'TypeError: x is undefined' }
  ];
  for (const end of ends) {
    progress.update([run]);
    t.mock.timers.tick(1);
    progress.update([{ ...run, ...end }]);
  }
  assert.deepEqual(shown, [
    'info Stopped by you: load()',
    'info Stopped by the agent: load()',
    'info Denied by you: load()',
    'error Failed: load() (TypeError: x is undefined)'
  ]);
});
