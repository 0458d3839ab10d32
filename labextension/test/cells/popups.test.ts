/** Popups over an editor as CodeMirror makes them, without JupyterLab: what closes them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EditorView } from '@codemirror/view';

import type { Assistant } from '../../src/cells/assistant';
import type { Owners } from '../../src/cells/owners';
import { closePopups, hasPopup, POPUP_CLASS, popups } from '../../src/cells/popups';
import { CellSettings } from '../../src/cells/settings';
import { signatures } from '../../src/cells/signature';

type Report = (entries: { isIntersecting: boolean; intersectionRatio: number }[]) => void;
/** Those of the newest editor: CodeMirror has some of its own. */
let reports: Report[] = [];
class Screen {
  constructor(report: Report) {
    reports.push(report);
  }
  observe(): void {
    return;
  }
  disconnect(): void {
    return;
  }
}
Object.assign(globalThis, { IntersectionObserver: Screen });

/** An event of the page's own kind. */
function scrolling(): Event {
  const event = document.createEvent('Event');
  event.initEvent('scroll');
  return event;
}

const call = { signatures: [{ text: 'f(a: number)', documentation: '', parameters: [] }], signature: 0, parameter: 0 };

/** An editor in which a call is typed, with its parameters shown. */
async function open(): Promise<EditorView> {
  const owner = { sessionContext: { session: { kernel: { id: 'k' } } } };
  const owners = { of: () => owner } as unknown as Owners;
  const assistant = { signature: () => Promise.resolve({ status: 'known', value: call }) } as unknown as Assistant;
  reports = [];
  const parent = document.body.appendChild(document.createElement('div'));
  const extensions = [signatures(assistant, owners, new CellSettings()), popups()];
  const view = new EditorView({ doc: '%%pctx\nf', extensions, parent });
  view.focus();
  Object.defineProperty(view, 'hasFocus', { get: () => true });
  view.dispatch({ changes: { from: 8, insert: '(' }, selection: { anchor: 9 }, userEvent: 'input.type' });
  await new Promise(resolve => setTimeout(resolve, 150));
  assert.ok(hasPopup(view.state));
  return view;
}

test('an editor with a popup has the class for which Escape is ours, and closing it takes the class away', async () => {
  const view = await open();
  assert.ok(view.dom.classList.contains(POPUP_CLASS));
  assert.equal(closePopups(view), true);
  assert.ok(!hasPopup(view.state) && !view.dom.classList.contains(POPUP_CLASS));
  assert.equal(closePopups(view), false);
  await new Promise(resolve => setTimeout(resolve, 150));
  assert.ok(!hasPopup(view.state), 'it does not come back by itself');
});

test('a popup closes when the focus leaves, when the cell is hidden, and when the page scrolls under it', async () => {
  const first = await open();
  first.contentDOM.dispatchEvent(new FocusEvent('blur'));
  assert.ok(!hasPopup(first.state));

  const second = await open();
  reports.forEach(report => {
    report([{ isIntersecting: false, intersectionRatio: 0 }]);
  });
  assert.ok(!hasPopup(second.state));

  const third = await open();
  document.body.dispatchEvent(scrolling());
  assert.ok(hasPopup(third.state), 'the editor brings the cursor into sight');
  await new Promise(resolve => setTimeout(resolve, 600));
  document.body.appendChild(document.createElement('p')).dispatchEvent(scrolling());
  assert.ok(hasPopup(third.state), 'something else scrolls');
  document.body.dispatchEvent(scrolling());
  assert.ok(!hasPopup(third.state));
});

test('a popup stays while a person uses it', async () => {
  const view = await open();
  const popup = document.body.appendChild(document.createElement('div'));
  popup.className = 'cm-tooltip';
  view.contentDOM.dispatchEvent(new FocusEvent('blur', { relatedTarget: popup }));
  assert.ok(hasPopup(view.state));
});
