/** Renders our MIME types in outputs as widgets: timelines, tables and trees, drawn again when they change. */

import { Clipboard } from '@jupyterlab/apputils';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { nullTranslator, type ITranslator, type TranslationBundle } from '@jupyterlab/translation';
import { VDomRenderer } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import React from 'react';

import * as api from '../api';
import { AGAIN_MS, isExecuting, RunLookup, type Found } from './alive';
import { TimelineModel } from './model';
import { MIME as TABLE, TableModel } from './table';
import { Table } from './tableView';
import { Timeline } from './timeline';
import { MIME, type TracedRun } from './trace';
import { MIME as TREE, TreeModel } from './tree';
import { Tree } from './treeView';
import { wholeValue } from './wholeValue';

const runs = new RunLookup(api);

class TimelineRenderer extends VDomRenderer<TimelineModel> implements IRenderMime.IRenderer {
  readonly #trans: TranslationBundle;
  #timer = 0;

  constructor(translator: ITranslator) {
    super(new TimelineModel());
    this.addClass('pctx-TimelineOutput');
    this.#trans = translator.load('pctx_jupyter');
  }

  override dispose(): void {
    window.clearTimeout(this.#timer);
    super.dispose();
  }

  async renderModel(output: IRenderMime.IMimeModel): Promise<void> {
    this.model.json = output.data[MIME];
    this.#follow();
    await this.renderPromise;
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this.#follow();
  }

  /** While the trace says that the run goes on, find out whether it does. */
  #follow(): void {
    window.clearTimeout(this.#timer);
    const { run } = this.model;
    if (run?.state !== 'running' || !this.isAttached) {
      return;
    }
    if (isExecuting(this.node)) {
      this.model.life = 'alive';
      this.#followLater();
    } else {
      void this.#lookUp(run);
    }
  }

  #followLater(): void {
    this.#timer = window.setTimeout(() => {
      this.#follow();
    }, AGAIN_MS);
  }

  async #lookUp(run: TracedRun): Promise<void> {
    let found: Found | null = null;
    try {
      found = await runs.find(run.id);
    } catch {
      // The server does not answer: the run may be alive.
    }
    if (this.isDisposed || this.model.run !== run) {
      return; // a newer trace has come
    }
    if (found && 'trace' in found) {
      this.model.json = found.trace;
    } else if (found) {
      this.model.life = found.life;
    }
    if (this.model.run.state === 'running' && this.model.life !== 'cut') {
      this.#followLater();
    }
  }

  protected override render(): React.ReactElement {
    return (
      <Timeline
        model={this.model}
        trans={this.#trans}
        copy={text => {
          Clipboard.copyToSystem(text);
        }}
      />
    );
  }
}

class TableRenderer extends VDomRenderer<TableModel> implements IRenderMime.IRenderer {
  readonly #trans: TranslationBundle;

  constructor(translator: ITranslator) {
    super(new TableModel(id => wholeValue.load(this.node, { id })));
    this.addClass('pctx-TableOutput');
    this.#trans = translator.load('pctx_jupyter');
  }

  async renderModel(output: IRenderMime.IMimeModel): Promise<void> {
    this.model.json = output.data[TABLE];
    await this.renderPromise;
  }

  protected override render(): React.ReactElement {
    return (
      <Table
        model={this.model}
        trans={this.#trans}
        copy={text => {
          Clipboard.copyToSystem(text);
        }}
      />
    );
  }
}

class TreeRenderer extends VDomRenderer<TreeModel> implements IRenderMime.IRenderer {
  readonly #trans: TranslationBundle;

  constructor(translator: ITranslator) {
    super(new TreeModel((id, path) => wholeValue.load(this.node, { id, path })));
    this.addClass('pctx-TreeOutput');
    this.#trans = translator.load('pctx_jupyter');
  }

  async renderModel(output: IRenderMime.IMimeModel): Promise<void> {
    this.model.json = output.data[TREE];
    await this.renderPromise;
  }

  protected override render(): React.ReactElement {
    return (
      <Tree
        model={this.model}
        trans={this.#trans}
        copy={text => {
          Clipboard.copyToSystem(text);
        }}
      />
    );
  }
}

export const tree: IRenderMime.IExtension = {
  id: 'pctx-jupyter:tree',
  description: 'A value whose parts can be unfolded and copied.',
  rendererFactory: {
    safe: true,
    mimeTypes: [TREE],
    createRenderer: options => new TreeRenderer(options.translator ?? nullTranslator)
  },
  rank: 0,
  dataType: 'json'
};

export const table: IRenderMime.IExtension = {
  id: 'pctx-jupyter:table',
  description: 'Rows that can be sorted, filtered and copied.',
  rendererFactory: {
    safe: true,
    mimeTypes: [TABLE],
    createRenderer: options => new TableRenderer(options.translator ?? nullTranslator)
  },
  rank: 0,
  dataType: 'json'
};

export const timeline: IRenderMime.IExtension = {
  id: 'pctx-jupyter:timeline',
  description: 'How the run of a program went.',
  rendererFactory: {
    safe: true, // also in notebooks that are not trusted: it draws text only
    mimeTypes: [MIME],
    createRenderer: options => new TimelineRenderer(options.translator ?? nullTranslator)
  },
  rank: 0,
  dataType: 'json'
};
