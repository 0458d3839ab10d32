/**
 * Adds to what JupyterLab shows of errors and stderr, in every notebook; the text stays as the kernel sent it.
 *
 * It does not know what is added.
 */

import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';

/** The MIME type with which JupyterLab shows errors, and what is written to stderr. */
export const SHOWN = 'application/vnd.jupyter.stderr';

type Data = IRenderMime.IMimeModel['data'];

/**
 * Have such outputs extended from now on.
 *
 * @param extend gets each renderer once; what it returns is called with the output's data whenever that has been drawn
 */
export function extendErrorOutput(
  rendermime: IRenderMimeRegistry,
  extend: (renderer: IRenderMime.IRenderer) => (data: Data) => void
): void {
  const usual = rendermime.getFactory(SHOWN);
  if (!usual) {
    return;
  }
  const createRenderer = (options: IRenderMime.IRendererOptions): IRenderMime.IRenderer => {
    const renderer = usual.createRenderer(options);
    const render = renderer.renderModel.bind(renderer);
    const add = extend(renderer);
    renderer.renderModel = async model => {
      await render(model);
      add(model.data);
    };
    return renderer;
  };
  rendermime.addFactory({ ...usual, mimeTypes: [SHOWN], createRenderer }, rendermime.getRank(SHOWN));
}
