/** Calls with fields to fill in, in a real editor. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EditorState } from '@codemirror/state';
import { EditorView } from '@codemirror/view';

import { addArguments, callFields, FIELDS_CLASS, fillIn, goToField, hasFields } from '../../src/cells/fields';

/** An editor with a text, `|` in its place of the cursor. */
function editor(doc: string): EditorView {
  return new EditorView({ state: EditorState.create({ doc, extensions: [callFields()] }), parent: document.body });
}

const seen = ({ state }: EditorView): string => {
  const { from, to } = state.selection.main;
  assert.equal(from, to);
  return `${state.sliceDoc(0, from)}|${state.sliceDoc(from)}`;
};

test('each required argument has a field, and the last place is behind the call', () => {
  const view = editor('A.load');
  fillIn(view, 6, 6, ['n', '"b-c"']);
  assert.equal(seen(view), 'A.load({ n: |, "b-c":  })');
  assert.ok(view.dom.classList.contains(FIELDS_CLASS));
  view.dispatch(view.state.replaceSelection('5'));
  assert.ok(goToField(view, true));
  assert.equal(seen(view), 'A.load({ n: 5, "b-c": | })');
  assert.ok(goToField(view, false));
  assert.ok(goToField(view, true));
  assert.ok(goToField(view, true));
  assert.equal(seen(view), 'A.load({ n: 5, "b-c":  })|');
  assert.equal(hasFields(view.state), false);
  assert.equal(goToField(view, true), false);
});

test('a name cannot make fields of its own', () => {
  const view = editor('A.load()');
  fillIn(view, 6, 8, ['"${x}"', '"#{y}"']);
  assert.equal(seen(view), 'A.load({ "${x}": |, "#{y}":  })');
});

test('a call without required arguments has its cursor between the parentheses', () => {
  const view = editor('A.load');
  fillIn(view, 6, 6, []);
  assert.equal(seen(view), 'A.load(|)');
});

test('missing arguments are added where the server says, with a field for each', () => {
  const view = editor('A.load({ n: 5 })');
  addArguments(view, { at: 13, names: ['a', '"b-c"'], before: ', ', after: '' });
  assert.equal(seen(view), 'A.load({ n: 5, a: |, "b-c":  })');
  const empty = editor('A.load()');
  addArguments(empty, { at: 7, names: ['n'], before: '{ ', after: ' }' });
  assert.equal(seen(empty), 'A.load({ n: | })');
});
