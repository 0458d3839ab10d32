/** The plugin that checks charts before they are drawn, in notebooks that the user does not trust. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { guardCharts } from './guard';

const guard: JupyterFrontEndPlugin<void> = {
  id: 'pctx-jupyter:charts',
  description: 'Checks charts before they are drawn.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  optional: [ITranslator],
  activate: (_: JupyterFrontEnd, rendermime: IRenderMimeRegistry, translator: ITranslator | null) => {
    guardCharts(rendermime, (translator ?? nullTranslator).load('pctx_jupyter'));
  }
};

export default [guard];
