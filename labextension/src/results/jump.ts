/**
 * Makes the place that an error names a link to that line of the cell.
 *
 * The text of the error stays as the kernel sent it, here and in every other front end. This module knows notebooks and how
 * they show errors. It does not know why a program failed.
 */

import type { CodeEditor } from '@jupyterlab/codeeditor';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { TranslationBundle } from '@jupyterlab/translation';
import { MessageLoop } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { isPctx, programStart } from '../cells/magic';
import { extendErrorOutput } from '../errorOutput';

/** The MIME type with which JupyterLab keeps the parts of errors. */
const ERROR = 'application/vnd.jupyter.error';
/** The exception of a cell whose program failed: `pctx_jupyter/kernel/output/failure.py`. */
const OURS = 'ProgramFailed';
/**
 * The place of the error, on a line of its own below the message, and those of further problems of the program, each before
 * its message; `pctx_jupyter/kernel/output/display.py` writes them.
 */
const PLACE = /^(?: {2}at line (\d{1,9}), column (\d{1,9})$|line (\d{1,9}), column (\d{1,9})(?=: ))/gm;
/** Links of one error. */
const MOST_LINKS = 20;

/** A place in a cell's program: 1-based, columns in UTF-16 units. */
export interface ProgramPlace {
  line: number;
  column: number;
}

/** Link the errors of programs to their lines, in every notebook. */
export function linkPlaces(
  rendermime: IRenderMimeRegistry,
  notebooks: INotebookTracker,
  trans: TranslationBundle
): void {
  extendErrorOutput(rendermime, renderer => {
    let isOurs = false;
    const link = (): void => {
      // Only a notebook has a cell to go to: a console's cell has been sent, and a separate output has none.
      if (isOurs && renderer.node.closest('.jp-Notebook')) {
        linkAll(renderer.node, trans, place => {
          jump(notebooks, renderer.node, place);
        });
      }
    };
    // Cells that are not on the screen are rendered before they are attached to their notebook.
    MessageLoop.installMessageHook(renderer, (_, message) => {
      if (message.type === Widget.Msg.AfterAttach.type) {
        link();
      }
      return true;
    });
    return data => {
      isOurs = isFailure(data[ERROR]);
      link();
    };
  });
}

/** Find the places that an error's text names, and where in the text they are named. */
export function findPlaces(text: string): (ProgramPlace & { from: number; to: number })[] {
  let hasOwn = false;
  return [...text.matchAll(PLACE)]
    .slice(0, MOST_LINKS)
    .flatMap(({ 0: whole, 1: line, 2: column, 3: more, 4: at, index }) => {
      if (line !== undefined && hasOwn) {
        return []; // the code below the place may say so, too
      }
      hasOwn ||= line !== undefined;
      const named = whole.trimStart();
      const to = index + whole.length;
      return [{ from: to - named.length, to, line: Number(line ?? more), column: Number(column ?? at) }];
    });
}

/** Convert a place of a program to a 0-based position in its cell, limited to the cell's present text. */
export function placeIn(source: string, { line, column }: ProgramPlace): CodeEditor.IPosition {
  const before = source.slice(0, programStart(source)).split('\n').length - 1;
  const lines = source.split('\n');
  const at = Math.min(before + line - 1, lines.length - 1);
  return { line: at, column: Math.min(column - 1, lines[at]?.length ?? 0) };
}

function isFailure(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'ename' in error && error.ename === OURS;
}

/** Make links of the places that are named; does nothing if there are links already. */
function linkAll(node: HTMLElement, trans: TranslationBundle, follow: (place: ProgramPlace) => void): void {
  if (node.querySelector('.pctx-Place')) {
    return;
  }
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  const texts: Text[] = [];
  while (walker.nextNode()) {
    texts.push(walker.currentNode as Text);
  }
  for (const text of texts) {
    // From the end, so that the places before stay where they are.
    for (const place of findPlaces(text.data).reverse()) {
      const named = text.splitText(place.from);
      named.splitText(place.to - place.from);
      const link = placeLink(trans.__('Go to line %1', place.line), () => {
        follow(place);
      });
      named.replaceWith(link);
      link.append(named);
    }
  }
}

/** Make a link. It is not a button, whose text is not copied, and not an anchor, which needs an address. */
function placeLink(title: string, follow: () => void): HTMLElement {
  const link = document.createElement('span');
  link.className = 'pctx-Place';
  link.tabIndex = 0;
  link.title = title;
  link.setAttribute('role', 'link');
  link.dataset.lmSuppressShortcuts = 'true'; // Enter follows the link; otherwise the notebook would edit its active cell
  link.addEventListener('click', event => {
    event.preventDefault();
    follow();
  });
  link.addEventListener('keydown', event => {
    if (event.key === 'Enter') {
      event.preventDefault(); // otherwise a line end would be typed at the new cursor
      follow();
    }
  });
  return link;
}

function jump(notebooks: INotebookTracker, output: HTMLElement, place: ProgramPlace): void {
  const notebook = notebooks.find(panel => panel.node.contains(output))?.content;
  const index = notebook?.widgets.findIndex(cell => cell.node.contains(output)) ?? -1;
  const cell = notebook?.widgets[index];
  const editor = cell?.editor;
  const source = cell?.model.sharedModel.getSource() ?? '';
  if (!notebook || !editor || !isPctx(source)) {
    return;
  }
  notebook.activeCellIndex = index;
  notebook.mode = 'edit';
  const position = placeIn(source, place);
  editor.setCursorPosition(position);
  editor.revealPosition(position);
  editor.focus();
}
