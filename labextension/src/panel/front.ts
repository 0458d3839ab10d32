/** Tells the model about the notebook in front: its kernel, the numbers of its cells, and whether it has loaded pctx. */

import { type INotebookTracker, NotebookActions, type NotebookPanel } from '@jupyterlab/notebook';

import type { KernelLoading } from '../cells/loading';
import { CellNumbers } from './cellNumbers';
import type { PanelModel } from './model';
import { current, kernelId } from './notebook';

/** Tell the model which notebook is in front, its kernel, and which cells show runs. */
export function followFront(model: PanelModel, tracker: INotebookTracker): void {
  const follow = (): void => {
    model.follow(kernelId(current(tracker)));
  };
  tracker.currentChanged.connect(follow);
  tracker.widgetAdded.connect((_, panel) => {
    panel.sessionContext.kernelChanged.connect(follow);
  });
  const numbers = new Set<CellNumbers>();
  const add = (panel: NotebookPanel): void => {
    const ofCells = new CellNumbers(panel.content);
    numbers.add(ofCells);
    panel.disposed.connect(() => numbers.delete(ofCells));
  };
  tracker.forEach(add);
  tracker.widgetAdded.connect((_, panel) => {
    add(panel);
  });
  const number = (): void => {
    const cells = new Map<string, number>();
    numbers.forEach(one => {
      one.addTo(cells);
    });
    model.number(cells);
  };
  model.runsChanged.connect(number);
  tracker.currentChanged.connect(number);
  NotebookActions.executed.connect(number); // a cell gets its number after its run has ended
  follow();
}

/** Find out whether the kernel of the notebook in front has loaded pctx, when a person sees the panel. */
export function followLoading(model: PanelModel, loading: KernelLoading, tracker: INotebookTracker): void {
  const ask = (): void => {
    if (model.isFrontUnknown) {
      void loading.ask();
    }
  };
  const follow = (): void => {
    loading.follow(current(tracker)?.sessionContext.session?.kernel ?? null);
    ask();
  };
  tracker.currentChanged.connect(follow);
  tracker.widgetAdded.connect((_, panel) => {
    const isFront = (): boolean => current(tracker) === panel;
    panel.sessionContext.kernelChanged.connect(() => {
      if (isFront()) {
        follow();
      }
    });
    panel.sessionContext.statusChanged.connect((_, status) => {
      if (isFront() && (status === 'restarting' || status === 'autorestarting')) {
        follow();
      }
    });
  });
  NotebookActions.executed.connect(ask); // the cell may have loaded it
  model.changed.connect(() => {
    if (loading.state === 'unknown') {
      ask();
    }
  });
  loading.changed.connect(() => {
    const { state, error } = loading;
    model.unload(state === 'absent' || state === 'loading' ? { isLoading: state === 'loading', error } : null);
  });
}
