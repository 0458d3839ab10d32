/** When a list of completions is asked for, and which answers make one. JupyterLab and the server are fake. */

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import { EditorView } from '@codemirror/view';
import type { ICompletionContext, ICompletionProviderManager } from '@jupyterlab/completer';
import { Signal } from '@lumino/signaling';

import type { Completed } from '../../src/api';
import type { EditorReply, Assistant } from '../../src/cells/assistant';
import { completeWhileTyping, followAccepted, itemOf, PctxCompletions } from '../../src/cells/completion';
import type { Owners } from '../../src/cells/owners';
import { CellSettings } from '../../src/cells/settings';

const FOUND: EditorReply<Completed> = {
  status: 'known',
  value: {
    start: 16,
    end: 16,
    items: [{ label: 'load', insertText: 'load', type: 'function', documentation: '', detail: '', arguments: null }]
  }
};

/** A cell with the cursor at its end, a question about it, and its answer as it comes; its notebook is asked again. */
function ask(source: string) {
  const cell = { source, offset: source.length, hasFocus: true };
  const editor = {
    isDisposed: false,
    hasFocus: () => cell.hasFocus,
    getCursorPosition: () => cell.offset,
    getOffsetAt: (offset: number) => offset,
    model: { sharedModel: { getSource: () => cell.source } }
  };
  let answer: (found: EditorReply<Completed>) => void = () => undefined;
  const complete = () => new Promise<EditorReply<Completed>>(resolve => (answer = resolve));
  const assistant = { complete } as unknown as Assistant;
  const invoked: string[] = [];
  const clock = { now: 0 };
  const completions = new PctxCompletions(
    assistant,
    new CellSettings(),
    id => invoked.push(id),
    () => clock.now
  );
  const widget = { id: 'notebook' };
  const context = { editor, session: { kernel: { id: 'k' } }, widget } as unknown as ICompletionContext;
  const fetch = () => completions.fetch({ text: source, offset: source.length }, context);
  let reply = fetch();
  return {
    cell,
    invoked,
    again: () => {
      reply = fetch();
    },
    answerWith: async (found: EditorReply<Completed>, afterMs = 0) => {
      clock.now += afterMs;
      answer(found);
      return (await reply).items.map(item => item.label);
    }
  };
}

test('an answer makes a list', async () => {
  assert.deepEqual(await ask('%%pctx\nNotebook.').answerWith(FOUND), ['load']);
});

const CHANGES: [string, (cell: ReturnType<typeof ask>['cell']) => void][] = [
  ['the text', cell => (cell.source += '(')],
  ['the place of the cursor', cell => (cell.offset -= 1)],
  ['the cell with the focus', cell => (cell.hasFocus = false)]
];
for (const [what, change] of CHANGES) {
  test(`an answer makes no list when ${what} is another one meanwhile`, async () => {
    const { cell, answerWith } = ask('%%pctx\nNotebook.');
    change(cell);
    assert.deepEqual(await answerWith(FOUND), []);
  });
}

test('an answer for which JupyterLab did not wait is asked for again, once', async context => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { invoked, again, answerWith } = ask('%%pctx\nNotebook.');
  await answerWith(FOUND, 1_500);
  context.mock.timers.runAll();
  assert.deepEqual(invoked, ['notebook']);
  again();
  await answerWith(FOUND, 1_500);
  context.mock.timers.runAll();
  assert.deepEqual(invoked, ['notebook']);
});

test('nothing is asked again where somebody typed on', async context => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { cell, invoked, answerWith } = ask('%%pctx\nNotebook.');
  await answerWith(FOUND, 1_500);
  cell.source += 'l';
  context.mock.timers.runAll();
  assert.deepEqual(invoked, []);
});

function open(source: string, context: TestContext): { view: EditorView; invoked: string[] } {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const invoked: string[] = [];
  const manager = { invoke: (id: string) => invoked.push(id) } as unknown as ICompletionProviderManager;
  const owners = { of: () => ({ id: 'notebook' }) } as unknown as Owners;
  const view = new EditorView({
    doc: source,
    selection: { anchor: source.length },
    extensions: completeWhileTyping(manager, owners, new CellSettings()),
    parent: document.body
  });
  Object.defineProperty(view, 'hasFocus', { value: true });
  context.after(() => {
    view.destroy();
  });
  return { view, invoked };
}

function type(view: EditorView, text: string): void {
  const { head } = view.state.selection.main;
  view.dispatch({
    changes: { from: head, insert: text },
    selection: { anchor: head + text.length },
    userEvent: 'input.type'
  });
}

test('a list is asked for when what was typed may go on, and once', context => {
  const { view, invoked } = open('%%pctx\nNotebook', context);
  for (const text of ['.', 'l', 'o']) {
    type(view, text);
  }
  context.mock.timers.runAll();
  assert.deepEqual(invoked, ['notebook']);
  type(view, '(');
  context.mock.timers.runAll();
  assert.deepEqual(invoked, ['notebook']);
});

test('no list is asked for where a completion was accepted just now', context => {
  const { view, invoked } = open('%%pctx\nNotebook.l', context);
  type(view, 'o');
  const end = view.state.doc.length;
  view.dispatch({ changes: { from: end - 2, to: end, insert: 'loadOrders' }, selection: { anchor: end + 8 } });
  context.mock.timers.runAll();
  assert.deepEqual(invoked, []);
});

test('what others write meanwhile keeps no list away', context => {
  const { view, invoked } = open('%%pctx\nNotebook', context);
  type(view, '.');
  view.dispatch({ changes: { from: view.state.doc.length, insert: '\n// theirs' } });
  context.mock.timers.runAll();
  assert.deepEqual(invoked, ['notebook']);
});

test('a name is listed with its type, which is no part of what is typed or inserted', () => {
  const item = { label: 'load', insertText: 'load', type: 'function', documentation: 'Loads.' };
  const detail = '(args: { n: number }) → Order[]';
  assert.deepEqual(itemOf({ ...item, detail, arguments: ['n'] }), {
    label: 'load(args: { n: number }) → Order[]',
    insertText: 'load',
    type: 'function',
    documentation: 'Loads.'
  });
  const field = itemOf({ ...item, detail: '(string | number)[], optional', arguments: null });
  assert.equal(field.label, 'load ((string | number)[], optional)');
  assert.equal(field.documentation, '(string | number)[], optional\n\nLoads.');
  assert.equal(itemOf({ ...item, detail: '', arguments: null }).label, 'load');
  const long = itemOf({ ...item, detail: `(args: { ${'n: number; '.repeat(9)}}) → Order[]`, arguments: ['n'] });
  assert.equal(long.label, 'load(…) → Order[]', 'the description beside the list has the arguments');
  assert.ok(itemOf({ ...item, detail: `() → ${'x'.repeat(500)}`, arguments: null }).label.length < 80);
});

test('accepted texts are followed where JupyterLab reports them, and nothing fails where it does not', () => {
  const manager = { selected: new Signal<unknown, { insertText: string }>({}) };
  const accepted: string[] = [];
  const accept = (text: string): void => void accepted.push(text);
  followAccepted(manager as unknown as ICompletionProviderManager, accept);
  manager.selected.emit({ insertText: 'load' });
  followAccepted({} as ICompletionProviderManager, accept);
  assert.deepEqual(accepted, ['load']);
});
