/** Editors of our cells as CodeMirror makes them, without JupyterLab: what they hold on to, and that they let go of it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachDiagnostic } from '@codemirror/lint';
import { EditorView } from '@codemirror/view';
import { nullTranslator } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';

import type { Underlined } from '../../src/api';
import type { EditorReply, Assistant } from '../../src/cells/assistant';
import { fixProblem, squiggles } from '../../src/cells/diagnostics';
import type { Owner, Owners } from '../../src/cells/owners';
import { closePopups } from '../../src/cells/popups';
import { goToNextProblem, isProblemShown } from '../../src/cells/problem';
import { CellSettings } from '../../src/cells/settings';

/** Counts the slots that are connected. */
class Slots {
  readonly slots = new Set<unknown>();
  connect(slot: unknown): void {
    this.slots.add(slot);
  }
  disconnect(slot: unknown): void {
    this.slots.delete(slot);
  }
}

class Screen {
  static shown = new Set<Screen>();
  readonly #report: (entries: { isIntersecting: boolean }[]) => void;
  constructor(report: (entries: { isIntersecting: boolean }[]) => void) {
    this.#report = report;
  }
  observe(): void {
    Screen.shown.add(this);
    this.#report([{ isIntersecting: true }]);
  }
  disconnect(): void {
    Screen.shown.delete(this);
  }
}
Object.assign(globalThis, { IntersectionObserver: Screen });

interface Opened {
  view: EditorView;
  heard: Slots;
  looked: Promise<void>;
  catalogs: Signal<object, void>;
}

function open(source: string, found: Underlined[]): Opened {
  const heard = new Slots();
  const catalogs = new Signal<object, void>({});
  const owner = { sessionContext: { session: { kernel: { id: 'k' } } } } as unknown as Owner;
  const owners = { changed: heard, of: () => owner } as unknown as Owners;
  let isLooked: () => void = () => undefined;
  const looked = new Promise<void>(resolve => (isLooked = resolve));
  const diagnostics = (): Promise<EditorReply<Underlined[]>> => {
    setTimeout(isLooked, 0);
    return Promise.resolve({ status: 'known', value: found });
  };
  const assistant = { diagnostics } as unknown as Assistant;
  const trans = nullTranslator.load('pctx_jupyter');
  const extensions = squiggles(assistant, owners, catalogs, new CellSettings(), trans);
  return { view: new EditorView({ doc: source, extensions }), heard, looked, catalogs };
}

function wrong(from: number, to: number, instead: string | null): Underlined {
  return { from, to, severity: 'error', message: '<b>wrong</b>', source: 'pctx', instead };
}

test('an editor that goes leaves nothing behind', () => {
  const { view, heard } = open('%%pctx\nx', []);
  assert.equal(heard.slots.size, 1);
  assert.ok(Screen.shown.size > 0); // CodeMirror has one of its own
  view.destroy();
  assert.equal(heard.slots.size, 0);
  assert.equal(Screen.shown.size, 0);
});

test('when tools have changed, a cell is checked again', async () => {
  const found = [wrong(7, 11, null)];
  const { view, looked, catalogs } = open('%%pctx\nlaod()', found);
  await looked;
  const count = (): number => {
    let problems = 0;
    forEachDiagnostic(view.state, () => problems++);
    return problems;
  };
  assert.equal(count(), 1);
  found.length = 0; // it is there now
  catalogs.emit();
  catalogs.emit();
  await new Promise(resolve => setTimeout(resolve, 400));
  assert.equal(count(), 0);
  view.destroy();
});

test('problems are where they were found, within the text, are gone through in turn, and the nearest one with a way out is fixed', async () => {
  const { view, looked } = open('%%pctx\nlaod(); nope; laod()', [
    wrong(7, 11, 'load'),
    wrong(15, 19, null),
    wrong(21, 25, 'load'),
    wrong(900, 999, null)
  ]);
  await looked;
  const places: [number, number][] = [];
  forEachDiagnostic(view.state, (_, from, to) => places.push([from, to]));
  assert.deepEqual(places, [
    [7, 11],
    [15, 19],
    [21, 25],
    [27, 27]
  ]);
  const selected: number[] = [];
  for (let moves = 0; moves < 5; moves++) {
    assert.ok(goToNextProblem(view));
    assert.ok(isProblemShown(view.state));
    selected.push(view.state.selection.main.from);
  }
  assert.deepEqual(selected, [7, 15, 21, 27, 7], 'after the last one, the first one again');
  view.dispatch({ selection: { anchor: view.state.doc.length } });
  assert.ok(!isProblemShown(view.state), 'the cursor has left it');
  assert.ok(fixProblem(view));
  assert.equal(view.state.doc.toString(), '%%pctx\nlaod(); nope; load()');
  assert.ok(goToNextProblem(view) && closePopups(view) && !isProblemShown(view.state));
  view.destroy();
});
