/** The plugins for results of programs. `mime.ts` lists the renderers. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { linkPlaces } from './jump';
import { loadFrom } from './wholeValue';

const jump: JupyterFrontEndPlugin<void> = {
  id: 'pctx-jupyter:results-jump',
  description: 'From an error to the line of the cell that it is about.',
  autoStart: true,
  requires: [INotebookTracker, IRenderMimeRegistry],
  optional: [ITranslator],
  activate: (
    _: JupyterFrontEnd,
    notebooks: INotebookTracker,
    rendermime: IRenderMimeRegistry,
    translator: ITranslator | null
  ) => {
    linkPlaces(rendermime, notebooks, (translator ?? nullTranslator).load('pctx_jupyter'));
  }
};

const values: JupyterFrontEndPlugin<void> = {
  id: 'pctx-jupyter:results-values',
  description: 'Gets whole values from the kernel.',
  autoStart: true,
  requires: [INotebookTracker],
  activate: (_: JupyterFrontEnd, notebooks: INotebookTracker) => {
    loadFrom(notebooks);
  }
};

export default [jump, values];
