/**
 * Puts a button below IPython's error that a kernel does not know `%%pctx`: it loads pctx.
 *
 * The text of the error stays as the kernel sent it. This module knows notebooks and how they show errors. It does not know
 * kernels.
 */

import type { INotebookTracker } from '@jupyterlab/notebook';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { LoadIn } from './loadLine';

/** The MIME type with which JupyterLab shows what is written to stderr, where IPython writes this error. */
const SHOWN = 'application/vnd.jupyter.stderr';
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
  const usual = rendermime.getFactory(SHOWN);
  if (!usual) {
    return;
  }
  const createRenderer = (options: IRenderMime.IRendererOptions): IRenderMime.IRenderer => {
    const renderer = usual.createRenderer(options);
    const render = renderer.renderModel.bind(renderer);
    renderer.renderModel = async model => {
      await render(model);
      const written = model.data[SHOWN];
      const isThere = renderer.node.querySelector('.pctx-LoadLine-load') !== null;
      if (!isThere && typeof written === 'string' && isUnknownMagic(written)) {
        renderer.node.append(
          loadButton(trans, () => {
            const panel = notebooks.find(one => one.node.contains(renderer.node));
            if (panel) {
              load(panel);
            }
          })
        );
      }
    };
    return renderer;
  };
  rendermime.addFactory({ ...usual, mimeTypes: [SHOWN], createRenderer }, rendermime.getRank(SHOWN));
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
