/**
 * The way from an error to the line of the cell that it is about: its place, where the error names it, is a link.
 *
 * The error stays the text that the kernel sent, here and in every other front end. Knows notebooks and how errors are
 * shown in them; refuses to know why a program failed.
 */

import type { CodeEditor } from '@jupyterlab/codeeditor';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { TranslationBundle } from '@jupyterlab/translation';
import { MessageLoop } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { isPctx, programStart } from '../cells/magic';

/** How JupyterLab shows errors, and what it keeps of them beside the text. */
const SHOWN = 'application/vnd.jupyter.stderr';
const ERROR = 'application/vnd.jupyter.error';
/** The exception of a cell whose program failed: `pctx_jupyter/kernel/output/failure.py`. */
const OURS = 'ProgramFailed';
/** The place, on a line of its own; what follows the message in `pctx_jupyter/kernel/output/display.py`. */
const PLACE = /^ {2}(at line (\d{1,9}), column (\d{1,9}))$/m;

/** A place in a cell's program: 1-based, columns in UTF-16 units. */
export interface Place {
  line: number;
  column: number;
}

/** Have the errors of programs lead to their lines, in every notebook. */
export function linkPlaces(
  rendermime: IRenderMimeRegistry,
  notebooks: INotebookTracker,
  trans: TranslationBundle
): void {
  const usual = rendermime.getFactory(SHOWN);
  if (!usual) {
    return;
  }
  const createRenderer = (options: IRenderMime.IRendererOptions): IRenderMime.IRenderer => {
    const renderer = usual.createRenderer(options);
    const render = renderer.renderModel.bind(renderer);
    let isOurs = false;
    const link = (): void => {
      // Only a notebook's cell can be gone to: a console's has been sent, and an output on its own has none.
      if (isOurs && renderer.node.closest('.jp-Notebook')) {
        linkPlace(renderer.node, trans, place => {
          jump(notebooks, renderer.node, place);
        });
      }
    };
    renderer.renderModel = async model => {
      isOurs = isFailure(model.data[ERROR]);
      await render(model);
      link();
    };
    // Cells that are not on the screen are rendered before they have a place in their notebook.
    MessageLoop.installMessageHook(renderer, (_, message) => {
      if (message.type === Widget.Msg.AfterAttach.type) {
        link();
      }
      return true;
    });
    return renderer;
  };
  rendermime.addFactory({ ...usual, mimeTypes: [SHOWN], createRenderer }, rendermime.getRank(SHOWN));
}

/** Where in an error's text its place is, and which. */
export function findPlace(text: string): (Place & { from: number; to: number }) | null {
  const found = PLACE.exec(text);
  if (!found) {
    return null;
  }
  const [whole, named = '', line, column] = found;
  const to = found.index + whole.length;
  return { from: to - named.length, to, line: Number(line), column: Number(column) };
}

/** Where a place of a cell's program is in the cell: 0-based, and in it even if the cell has changed since. */
export function placeIn(source: string, { line, column }: Place): CodeEditor.IPosition {
  const before = source.slice(0, programStart(source)).split('\n').length - 1;
  const lines = source.split('\n');
  const at = Math.min(before + line - 1, lines.length - 1);
  return { line: at, column: Math.min(column - 1, lines[at]?.length ?? 0) };
}

function isFailure(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'ename' in error && error.ename === OURS;
}

/** Make a link of the first place that is named; does nothing where there is one already. */
function linkPlace(node: HTMLElement, trans: TranslationBundle, follow: (place: Place) => void): void {
  if (node.querySelector('.pctx-Place')) {
    return;
  }
  const texts = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode as Text;
    const place = findPlace(text.data);
    if (place) {
      const named = text.splitText(place.from);
      named.splitText(place.to - place.from);
      const link = placeLink(trans.__('Go to line %1', place.line), () => {
        follow(place);
      });
      named.replaceWith(link);
      link.append(named);
      return;
    }
  }
}

/** A link. No button: its text would be missing where the error is copied. No anchor: it has no address to open. */
function placeLink(title: string, follow: () => void): HTMLElement {
  const link = document.createElement('span');
  link.className = 'pctx-Place';
  link.tabIndex = 0;
  link.title = title;
  link.setAttribute('role', 'link');
  link.dataset.lmSuppressShortcuts = 'true'; // Enter is the link's here: the notebook would edit its active cell
  link.addEventListener('click', event => {
    event.preventDefault();
    follow();
  });
  link.addEventListener('keydown', event => {
    if (event.key === 'Enter') {
      event.preventDefault(); // or it would be typed where the cursor goes
      follow();
    }
  });
  return link;
}

function jump(notebooks: INotebookTracker, output: HTMLElement, place: Place): void {
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
