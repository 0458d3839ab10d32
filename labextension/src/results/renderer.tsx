/** Renders our MIME types in outputs as widgets: timelines, tables and trees, drawn again when they change. */

import { Clipboard } from '@jupyterlab/apputils';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { nullTranslator, type ITranslator, type TranslationBundle } from '@jupyterlab/translation';
import { VDomRenderer } from '@jupyterlab/ui-components';
import type { PartialJSONObject, ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { Message } from '@lumino/messaging';
import React from 'react';

import * as api from '../api';
import { AGAIN_MS, isExecuting, RunLookup, type Found } from './alive';
import { TimelineModel } from './model';
import { MIME as TABLE, TableModel } from './table';
import { Table } from './tableView';
import { Timeline, endText } from './timeline';
import { MIME, read, type TracedRun } from './trace';
import { MIME as TREE, TreeModel } from './tree';
import { Tree } from './treeView';
import { wholeValue } from './wholeValue';

const runs = new RunLookup(api);

/** The words for a run under way in the other forms of an output: those of `pctx_jupyter/kernel/output/timeline.py`. */
const RUNNING_HTML = 'running when saved';
const RUNNING_TEXT = 'running …';

class TimelineRenderer extends VDomRenderer<TimelineModel> implements IRenderMime.IRenderer {
  readonly #trans: TranslationBundle;
  #timer = 0;
  #output: IRenderMime.IMimeModel | null = null;

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
    this.#output = output;
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
    const wasAlive = this.model.life === 'alive';
    if (found && 'trace' in found) {
      this.model.json = found.trace;
    } else if (found) {
      this.model.life = found.life;
    }
    const trace = found && 'trace' in found ? found.trace : null;
    if (wasAlive && (trace || this.model.life === 'cut') && this.#output) {
      // Its kernel ended before it could send the last trace: the file keeps how the run ended. A file that is only opened
      // does not change.
      this.#output.setData({ data: endedData(this.#output.data, trace, this.#trans) });
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

/** The data of an output whose run has ended without a last trace from its kernel. */
function endedData(
  data: ReadonlyPartialJSONObject,
  trace: api.Trace | null,
  trans: TranslationBundle
): PartialJSONObject {
  const saved = data[MIME] as PartialJSONObject;
  const state = trace?.state ?? 'stopped';
  const by = trace ? trace.stopped_by : 'kernel';
  const ended: PartialJSONObject = { ...saved, state, ...(by ? { stopped_by: by } : {}) };
  if (typeof trace?.duration_s === 'number') {
    ended.duration_s = trace.duration_s;
  }
  const end = endText(read(ended)?.end ?? 'stopped', trace?.asked_by ?? 'cell', trans, { life: 'cut' });
  const replaced = (type: string, words: string): PartialJSONObject => {
    const text = data[type];
    return typeof text === 'string' ? { [type]: text.replace(words, end) } : {};
  };
  return {
    ...data,
    [MIME]: ended,
    ...replaced('text/html', RUNNING_HTML),
    ...replaced('text/plain', RUNNING_TEXT)
  };
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
