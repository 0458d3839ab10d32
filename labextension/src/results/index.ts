/** Results of programs: the plugins. What draws them is listed in `mime.ts`. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker } from '@jupyterlab/notebook';

import { followJumps } from './jump';

const jump: JupyterFrontEndPlugin<void> = {
  id: 'pctx-jupyter:results-jump',
  description: 'From an error to the line of the cell that it is about.',
  autoStart: true,
  requires: [INotebookTracker],
  activate: (_: JupyterFrontEnd, notebooks: INotebookTracker) => {
    followJumps(notebooks);
  }
};

export default [jump];
