/**
 * Shows a line at a `%%pctx` cell whose kernel has not loaded pctx, with a button that loads it; or loads it at once, if the
 * settings say so. There is one line in a notebook: at the active cell if that is a `%%pctx` cell, otherwise at the first one.
 */

import type { Cell } from '@jupyterlab/cells';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { Kernel, KernelMessage } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import { inertLine } from '../inert';
import { KernelLoading } from './loading';
import { isPctx } from './magic';
import type { CellSettings } from './settings';

/** Milliseconds after the last change of a notebook until its cells are read again. */
const REST_MS = 200;

/** Loads pctx in the kernel of a notebook, and shows the outcome at its cells. */
export type LoadIn = (panel: NotebookPanel) => void;

/** Follow every notebook. */
export function followLoading(notebooks: INotebookTracker, settings: CellSettings, trans: TranslationBundle): LoadIn {
  const lines = new WeakMap<NotebookPanel, LoadLine>();
  const add = (_: unknown, panel: NotebookPanel): void => {
    lines.set(panel, new LoadLine(panel, settings, trans));
  };
  notebooks.forEach(panel => {
    add(null, panel);
  });
  notebooks.widgetAdded.connect(add);
  return panel => {
    lines.get(panel)?.load();
  };
}

class LoadLine {
  readonly #panel: NotebookPanel;
  readonly #settings: CellSettings;
  readonly #trans: TranslationBundle;
  readonly #loading = new KernelLoading();
  readonly #node = document.createElement('div');
  #timer = 0;

  constructor(panel: NotebookPanel, settings: CellSettings, trans: TranslationBundle) {
    this.#panel = panel;
    this.#settings = settings;
    this.#trans = trans;
    this.#node.className = 'pctx-LoadLine';
    this.#node.setAttribute('role', 'status');
    this.#node.dataset.lmSuppressShortcuts = 'true';
    const { sessionContext, content } = panel;
    const again = (): void => {
      this.#loading.follow(sessionContext.session?.kernel ?? null);
      this.#schedule();
    };
    sessionContext.kernelChanged.connect(again);
    sessionContext.statusChanged.connect((_, status: Kernel.Status) => {
      if (status === 'restarting' || status === 'autorestarting') {
        again();
      }
    });
    sessionContext.iopubMessage.connect((_, message) => {
      if (this.#isEndOfCell(message)) {
        this.#schedule();
      }
    });
    const soon = (): void => {
      this.#schedule();
    };
    content.modelContentChanged.connect(soon);
    content.activeCellChanged.connect(soon);
    settings.changed.connect(soon);
    this.#loading.changed.connect(() => {
      this.#show();
    });
    panel.disposed.connect(() => {
      window.clearTimeout(this.#timer);
      settings.changed.disconnect(soon);
      this.#node.remove();
    });
    again();
  }

  load(): void {
    void this.#loading.load();
  }

  #isEndOfCell({ header, parent_header: parent, content }: KernelMessage.IMessage): boolean {
    return (
      header.msg_type === 'status' &&
      (content as { execution_state?: Kernel.Status }).execution_state === 'idle' &&
      'msg_id' in parent &&
      parent.msg_type === 'execute_request' &&
      !this.#loading.isOwn(parent.msg_id)
    );
  }

  #schedule(): void {
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => {
      if (this.#place === null) {
        this.#show();
      } else {
        void this.#loading.ask().then(() => {
          this.#show();
        });
      }
    }, REST_MS);
  }

  /** The cell at which the line is shown. */
  get #place(): Cell | null {
    const { content } = this.#panel;
    if (content.isDisposed) {
      return null;
    }
    const is = (cell: Cell | null): boolean =>
      cell !== null && cell.model.type === 'code' && isPctx(cell.model.sharedModel.getSource());
    return is(content.activeCell) ? content.activeCell : (content.widgets.find(is) ?? null);
  }

  #show(): void {
    const place = this.#place;
    const { state, error } = this.#loading;
    if (place === null || (state !== 'absent' && state !== 'loading')) {
      this.#node.remove();
      return;
    }
    if (state === 'absent' && error === '' && this.#settings.loadExtension) {
      void this.#loading.load();
      return;
    }
    this.#write(state === 'loading', error);
    // Above the input, in the flow of the cell: the cell's own header has no height.
    const input = place.node.querySelector(':scope > .jp-Cell-inputWrapper');
    if (this.#node.parentElement !== place.node) {
      place.node.insertBefore(this.#node, input);
    }
  }

  #write(isLoading: boolean, error: string): void {
    const text = isLoading
      ? this.#trans.__('Loading pctx…')
      : error !== ''
        ? this.#trans.__('Cannot load pctx in this kernel: %1', inertLine(error, 300))
        : this.#trans.__('This kernel has not loaded pctx.');
    const said = document.createElement('span');
    said.textContent = text;
    this.#node.replaceChildren(said);
    if (!isLoading) {
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'jp-mod-styled pctx-LoadLine-load';
      button.textContent = error === '' ? this.#trans.__('Load') : this.#trans.__('Try again');
      button.addEventListener('click', () => {
        void this.#loading.load();
      });
      this.#node.append(' ', button);
    }
  }
}
