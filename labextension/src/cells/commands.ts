/** Commands for the cell that is being edited: format it, go to the next problem, apply a correction. */

import { EditorView } from '@codemirror/view';
import { Notification } from '@jupyterlab/apputils';
import type { ICodeCellModel, Cell } from '@jupyterlab/cells';
import type { CodeEditor } from '@jupyterlab/codeeditor';
import { CodeMirrorEditor } from '@jupyterlab/codemirror';
import type { IConsoleTracker } from '@jupyterlab/console';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';

import { ApiError, format } from '../api';
import { fixProblem } from './diagnostics';
import { goToField } from './fields';
import { difference, samePlace } from './layout';
import { isPctx } from './magic';
import { closePopups } from './popups';
import { goToNextProblem } from './problem';

export const FORMAT_CELL = 'pctx:format-cell';
export const FORMAT_NOTEBOOK = 'pctx:format-notebook';
export const NEXT_PROBLEM = 'pctx:next-problem';
export const FIX_PROBLEM = 'pctx:fix-problem';
export const CLOSE_POPUPS = 'pctx:close-popups';
export const NEXT_FIELD = 'pctx:next-field';
export const PREVIOUS_FIELD = 'pctx:previous-field';

export function addCommands(
  commands: CommandRegistry,
  notebooks: INotebookTracker | null,
  consoles: IConsoleTracker | null,
  trans: TranslationBundle
): void {
  const current = (): Cell | null => {
    const console = consoles?.currentWidget ?? null;
    const isInConsole = console?.node.contains(document.activeElement) ?? false;
    const cell = isInConsole ? (console?.console.promptCell ?? null) : (notebooks?.activeCell ?? null);
    return cell && isPctx(cell.model.sharedModel.getSource()) ? cell : null;
  };
  const cells = (): ICodeCellModel[] =>
    [...(notebooks?.currentWidget?.content.model?.cells ?? [])].filter(
      (cell): cell is ICodeCellModel => cell.type === 'code' && isPctx(cell.sharedModel.getSource())
    );
  const inEditor = (act: (view: EditorView) => unknown) => () => {
    const editor = current()?.editor;
    if (editor instanceof CodeMirrorEditor) {
      act(editor.editor);
    }
  };
  const isEnabled = (): boolean => current() !== null;

  // The magic is an argument: translations take `%%` in a message for one `%`.
  const magic = '%%pctx';
  commands.addCommand(FORMAT_CELL, {
    label: trans.__('Format %1 Cell', magic),
    isEnabled,
    isVisible: isEnabled,
    execute: async () => {
      const cell = current();
      if (cell) {
        await layOut(cell.model, cell.editor, trans);
      }
    }
  });
  commands.addCommand(FORMAT_NOTEBOOK, {
    label: trans.__('Format All %1 Cells', magic),
    isEnabled: () => cells().length > 0,
    execute: async () => {
      for (const cell of cells()) {
        await layOut(cell, null, trans);
      }
    }
  });
  commands.addCommand(NEXT_PROBLEM, {
    label: trans.__('Go to Next Problem in %1 Cell', magic),
    isEnabled,
    execute: inEditor(goToNextProblem)
  });
  const inFocus = (act: (view: EditorView) => unknown) => () => {
    const editor = document.activeElement?.closest<HTMLElement>('.cm-editor');
    const view = editor && EditorView.findFromDOM(editor);
    if (view) {
      act(view);
    }
  };
  commands.addCommand(CLOSE_POPUPS, {
    label: trans.__('Close Popups of %1 Cell', magic),
    isEnabled,
    execute: inFocus(closePopups)
  });
  commands.addCommand(NEXT_FIELD, {
    label: trans.__('Go to Next Argument in %1 Cell', magic),
    isEnabled,
    execute: inFocus(view => goToField(view, true))
  });
  commands.addCommand(PREVIOUS_FIELD, {
    label: trans.__('Go to Previous Argument in %1 Cell', magic),
    isEnabled,
    execute: inFocus(view => goToField(view, false))
  });
  commands.addCommand(FIX_PROBLEM, {
    label: trans.__('Fix Problem in %1 Cell', magic),
    isEnabled,
    execute: inEditor(fixProblem)
  });
}

/** Format one cell, unless its text changes meanwhile. */
async function layOut(
  model: CodeEditor.IModel,
  editor: CodeEditor.IEditor | null,
  trans: TranslationBundle
): Promise<void> {
  const text = model.sharedModel;
  const before = text.getSource();
  let answer: Awaited<ReturnType<typeof format>>;
  try {
    answer = await format(before);
  } catch (error) {
    if (!(error instanceof ApiError)) {
      throw error;
    }
    answer = { source: null, message: error.isOurs ? error.message : trans.__('The server does not answer.') };
  }
  if (answer.source === null) {
    Notification.warning(answer.message, { autoClose: 5_000 });
    return;
  }
  const change = difference(before, answer.source);
  if (change === null || text.getSource() !== before) {
    return;
  }
  const cursor = editor && samePlace(before, editor.getOffsetAt(editor.getCursorPosition()), answer.source);
  text.updateSource(change.from, change.to, change.insert);
  if (editor && cursor !== null) {
    const position = editor.getPositionAt(cursor);
    if (position) {
      editor.setCursorPosition(position);
    }
  }
}
