/** Inserts calls and programs into the current notebook. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICodeCellModel } from '@jupyterlab/cells';
import type { CodeEditor } from '@jupyterlab/codeeditor';
import { type INotebookTracker, NotebookActions, type NotebookPanel } from '@jupyterlab/notebook';

import { fillIn, viewOf } from '../cells/fields';
import { isPctx } from '../cells/magic';
import { type Insertion, cellOf } from './calls';

/** The current notebook, if there is one. */
export function current(tracker: INotebookTracker): NotebookPanel | null {
  const panel = tracker.currentWidget;
  return panel && !panel.isDisposed ? panel : null;
}

/** The kernel of a notebook. */
export function kernelId(panel: NotebookPanel | null): string | null {
  return panel?.sessionContext.session?.kernel?.id ?? null;
}

/** Insert a text at the cursor if that is in a program, otherwise into a new `%%pctx` cell. */
export async function insert(panel: NotebookPanel, insertion: Insertion): Promise<void> {
  const notebook = panel.content;
  const cell = notebook.activeCell;
  const source = cell?.model.sharedModel.getSource() ?? '';
  if (cell?.model.type !== 'code' || !isPctx(source) || !cell.editor) {
    const head = cellOf('');
    await insertCell(panel, head + insertion.text, head.length + insertion.cursor);
    begin(panel.content.activeCell?.editor, head.length, insertion);
    return;
  }
  const editor = cell.editor;
  // Not into the magic line.
  const least = source.indexOf('\n', source.indexOf('%%pctx'));
  const at = Math.max(editor.getOffsetAt(editor.getCursorPosition()), least < 0 ? source.length : least + 1);
  const text = (least < 0 ? '\n' : '') + insertion.text;
  (cell.model as ICodeCellModel).sharedModel.updateSource(at, at, text);
  notebook.mode = 'edit';
  const start = at + text.length - insertion.text.length;
  place(editor, start + insertion.cursor);
  begin(editor, start, insertion);
}

/** Insert a cell below the current one, or fill the current one if it is empty; the cursor goes to an offset in it. */
export async function insertCell(panel: NotebookPanel, source: string, cursor: number = source.length): Promise<void> {
  const notebook = panel.content;
  const isEmpty =
    notebook.activeCell?.model.type === 'code' && !notebook.activeCell.model.sharedModel.getSource().trim();
  if (!isEmpty) {
    NotebookActions.insertBelow(notebook);
  }
  const cell = notebook.activeCell;
  if (!cell) {
    return;
  }
  cell.model.sharedModel.setSource(source);
  notebook.mode = 'edit';
  await cell.ready; // the editor is created lazily
  if (cell.editor) {
    place(cell.editor, cursor);
  }
}

/** Open a new notebook that has loaded pctx, with a cell to begin in. */
export async function open(app: JupyterFrontEnd, tracker: INotebookTracker, cwd: string): Promise<void> {
  const file = (await app.commands.execute('docmanager:new-untitled', { path: cwd, type: 'notebook' })) as {
    path: string;
  };
  const kernels = app.serviceManager.kernelspecs;
  await kernels.ready;
  const specs = kernels.specs?.kernelspecs ?? {};
  const isPython = (name: string): boolean => specs[name]?.language.toLowerCase() === 'python';
  const fallback = kernels.specs?.default ?? 'python3';
  const name = isPython(fallback) ? fallback : (Object.keys(specs).find(isPython) ?? fallback);
  await app.commands.execute('docmanager:open', { path: file.path, factory: 'Notebook', kernel: { name } });
  const panel = tracker.find(widget => widget.context.path === file.path);
  if (!panel) {
    return; // Notebook 7 opens it in another page
  }
  await panel.context.ready;
  await insertCell(panel, '%load_ext pctx_jupyter');
  await panel.sessionContext.ready;
  void NotebookActions.run(panel.content, panel.sessionContext); // a restarted kernel needs the cell again, so it stays
  await insertCell(panel, cellOf(''));
}

/** Make fields of the arguments of a call that was inserted: Tab goes from one to the next. */
function begin(editor: CodeEditor.IEditor | null | undefined, start: number, { text, call }: Insertion): void {
  const view = editor && call && viewOf(editor.host);
  if (view) {
    fillIn(view, start + call.from, start + text.length, call.names);
  }
}

function place(
  editor: NonNullable<NonNullable<NotebookPanel['content']['activeCell']>['editor']>,
  offset: number
): void {
  const position = editor.getPositionAt(offset);
  if (position) {
    editor.setCursorPosition(position);
  }
  editor.focus();
}
