/** The way from an output to a line of the cell above it. Knows notebooks; refuses to know what an output shows. */

import type { CodeEditor } from '@jupyterlab/codeeditor';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';

import { programStart } from '../cells/magic';

/** Asks whoever knows cells to go to a line of the one that this output belongs to. */
export const JUMP = 'pctx-jump';

/** Where to go, in the cell's program: 1-based, columns in UTF-16 units. */
export interface Jump {
  line: number;
  column: number;
}

/** Have every notebook follow the jumps that its outputs ask for. */
export function followJumps(notebooks: INotebookTracker): void {
  const follow = (panel: NotebookPanel) => {
    panel.node.addEventListener(JUMP, event => {
      jump(panel, event as CustomEvent<Jump>);
    });
  };
  notebooks.forEach(follow);
  notebooks.widgetAdded.connect((_, panel) => {
    follow(panel);
  });
}

function jump(panel: NotebookPanel, event: CustomEvent<Jump>): void {
  const target = event.target as Node;
  const index = panel.content.widgets.findIndex(cell => cell.node.contains(target));
  const cell = panel.content.widgets[index];
  const editor = cell?.editor;
  if (!cell || !editor) {
    return;
  }
  panel.content.activeCellIndex = index;
  panel.content.mode = 'edit';
  const position = placeIn(cell.model.sharedModel.getSource(), event.detail);
  editor.setCursorPosition(position);
  editor.revealPosition(position);
  editor.focus();
}

/** Where a place of a cell's program is in the cell: 0-based, and in it even if the cell has changed since. */
export function placeIn(source: string, { line, column }: Jump): CodeEditor.IPosition {
  const before = source.slice(0, programStart(source)).split('\n').length - 1;
  const lines = source.split('\n');
  const at = Math.min(before + line - 1, lines.length - 1);
  return { line: at, column: Math.min(column - 1, lines[at]?.length ?? 0) };
}
