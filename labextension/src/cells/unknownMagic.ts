/**
 * Puts a button below IPython's error that a kernel does not know `%%pctx`: it loads pctx.
 *
 * The text of the error stays as the kernel sent it. This module knows notebooks and how they show errors. It does not know
 * kernels.
 */

import type { INotebookTracker } from '@jupyterlab/notebook';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { TranslationBundle } from '@jupyterlab/translation';

import { SHOWN, extendErrorOutput } from '../errorOutput';
import type { LoadIn } from './loadLine';

/** IPython's words, of all supported versions. */
const UNKNOWN = /^UsageError: Cell magic `%%pctx` not found/m;

/** Whether a text is the error that a kernel does not know `%%pctx`. */
export function isUnknownMagic(text: string): boolean {
  return UNKNOWN.test(text);
}

/** Put the button below such errors, in every notebook. */
export function offerLoading(
  rendermime: IRenderMimeRegistry,
  notebooks: INotebookTracker,
  load: LoadIn,
  trans: TranslationBundle
): void {
  extendErrorOutput(rendermime, ({ node }) => data => {
    const written = data[SHOWN];
    const isThere = node.querySelector('.pctx-LoadLine-load') !== null;
    if (!isThere && typeof written === 'string' && isUnknownMagic(written)) {
      node.append(
        loadButton(trans, () => {
          const panel = notebooks.find(one => one.node.contains(node));
          if (panel) {
            load(panel);
          }
        })
      );
    }
  });
}

function loadButton(trans: TranslationBundle, load: () => void): HTMLElement {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'jp-mod-styled pctx-LoadLine-load';
  button.dataset.lmSuppressShortcuts = 'true';
  button.textContent = trans.__('Load pctx');
  button.title = trans.__('Then run the cell again.');
  button.addEventListener('click', load);
  return button;
}
