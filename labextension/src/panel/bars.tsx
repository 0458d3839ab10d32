/**
 * Puts a bar under the toolbar of each notebook in which guest programs have called tools.
 *
 * The bars are made of the server's list of runs, so they are there again after a reload. The server is told for which
 * kernels this page shows such programs: those kernels show no notices in the output of cells.
 */

import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import React from 'react';

import type { ExecutionState, KernelState } from '../api';
import { type Activity, activitiesOf } from './activity';
import { Bar, type BarActions } from './bar';
import type { PanelModel } from './model';
import { kernelId } from './notebook';
import { type DrawNotebook, notebookLinks } from './notebookLink';

/** Where guest programs are shown: the setting `agentActivity`. */
export type ActivityPlace = 'bar' | 'output' | 'nothing';

/** Pixels of one line; the style sheet has the same value. */
const LINE_PX = 28;
/** Lines that a bar has at most: the latest ones. */
const MOST_LINES = 3;

/** The actions of all bars: those of one bar, with the notebook where it is needed. */
export interface BarsActions {
  show: (run: ExecutionState) => void;
  /** Show the notebook of a kernel. */
  openNotebook: (kernel: KernelState) => void;
  stop: (run: ExecutionState) => void;
  insert: (panel: NotebookPanel, run: ExecutionState) => void;
}

/** The bars of all notebooks of a page. */
export class Bars {
  /** Null: the settings are not loaded yet, so nothing is shown and nothing reported. */
  #place: ActivityPlace | null = null;
  readonly #bars = new Map<NotebookPanel, BarWidget>();
  readonly #model: PanelModel;

  constructor(model: PanelModel, tracker: INotebookTracker, actions: BarsActions, trans: TranslationBundle) {
    this.#model = model;
    const add = (_: unknown, panel: NotebookPanel): void => {
      const bar = new BarWidget(
        panel,
        actions,
        named => notebookLinks(model.kernels, actions.openNotebook, trans)(named),
        trans
      );
      this.#bars.set(panel, bar);
      panel.contentHeader.addWidget(bar);
      panel.sessionContext.kernelChanged.connect(() => {
        this.#update();
      });
      panel.disposed.connect(() => {
        this.#bars.delete(panel);
        this.#update();
      });
      this.#update();
    };
    tracker.forEach(panel => {
      add(null, panel);
    });
    tracker.widgetAdded.connect(add);
    model.runsChanged.connect(() => {
      this.#update();
    });
  }

  set place(place: ActivityPlace) {
    this.#place = place;
    this.#update();
  }

  #update(): void {
    const kernels: string[] = [];
    for (const [panel, bar] of this.#bars) {
      const id = panel.isDisposed ? null : kernelId(panel);
      if (id !== null) {
        kernels.push(id);
      }
      bar.update(this.#place === 'bar' ? this.#model.runs : []);
    }
    this.#model.draw(this.#place === 'bar' || this.#place === 'nothing' ? kernels : []);
  }
}

class BarWidget extends ReactWidget {
  readonly #panel: NotebookPanel;
  readonly #trans: TranslationBundle;
  readonly #actions: BarActions;
  readonly #draw: DrawNotebook;
  #runs: readonly ExecutionState[] = [];

  constructor(panel: NotebookPanel, actions: BarsActions, draw: DrawNotebook, trans: TranslationBundle) {
    super();
    this.#draw = draw;
    this.#panel = panel;
    this.#trans = trans;
    this.#actions = {
      show: actions.show,
      stop: actions.stop,
      insert: run => {
        actions.insert(panel, run);
      },
      close: activity => {
        this.#close(activity);
      }
    };
    this.addClass('pctx-Bar');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Guest programs in this notebook'));
    this.node.dataset.lmSuppressShortcuts = 'true';
    this.hide();
  }

  /** Show the activity that these runs had in the notebook. */
  override update(runs: readonly ExecutionState[] = this.#runs): void {
    this.#runs = runs;
    const height = LINE_PX * this.#activities.length;
    this.node.style.minHeight = `${height}px`;
    this.node.style.maxHeight = `${height}px`;
    this.setHidden(height === 0);
    if (height > 0) {
      this.parent?.fit();
    }
    super.update();
  }

  protected override render(): React.ReactElement {
    return <Bar activities={this.#activities} draw={this.#draw} actions={this.#actions} trans={this.#trans} />;
  }

  get #activities(): Activity[] {
    const id = this.#panel.isDisposed ? null : kernelId(this.#panel);
    return id === null ? [] : activitiesOf(this.#runs, id, readClosed(id)).slice(0, MOST_LINES);
  }

  #close({ key, runs: [last] }: Activity): void {
    const id = kernelId(this.#panel);
    if (id !== null) {
      writeClosed(id, new Map(readClosed(id)).set(key, last.started_at));
      this.update();
      this.#panel.content.activate();
    }
  }
}

/** What was closed, until the page's tab is closed: a reload must not show it again. */
function readClosed(kernelId: string): ReadonlyMap<string, number> {
  try {
    const found: unknown = JSON.parse(window.sessionStorage.getItem(`pctx-closed ${kernelId}`) ?? '[]');
    return new Map(found as [string, number][]);
  } catch {
    return new Map(); // a browser may have no storage for this page
  }
}

function writeClosed(kernelId: string, closed: ReadonlyMap<string, number>): void {
  try {
    window.sessionStorage.setItem(`pctx-closed ${kernelId}`, JSON.stringify([...closed]));
  } catch {
    // Then it is shown again.
  }
}
