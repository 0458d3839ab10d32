/** Renders our MIME types in outputs as widgets: timelines and tables, drawn again when they change. */

import { Clipboard } from '@jupyterlab/apputils';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { nullTranslator, type ITranslator, type TranslationBundle } from '@jupyterlab/translation';
import { VDomRenderer } from '@jupyterlab/ui-components';
import React from 'react';

import { TimelineModel } from './model';
import { MIME as TABLE, TableModel } from './table';
import { Table } from './tableView';
import { Timeline } from './timeline';
import { MIME } from './trace';

class TimelineRenderer extends VDomRenderer<TimelineModel> implements IRenderMime.IRenderer {
  readonly #trans: TranslationBundle;

  constructor(translator: ITranslator) {
    super(new TimelineModel());
    this.addClass('pctx-TimelineOutput');
    this.#trans = translator.load('pctx_jupyter');
  }

  async renderModel(output: IRenderMime.IMimeModel): Promise<void> {
    this.model.json = output.data[MIME];
    await this.renderPromise;
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
    super(new TableModel());
    this.addClass('pctx-TableOutput');
    this.#trans = translator.load('pctx_jupyter');
  }

  async renderModel(output: IRenderMime.IMimeModel): Promise<void> {
    this.model.json = output.data[TABLE];
    await this.renderPromise;
  }

  protected override render(): React.ReactElement {
    return <Table model={this.model} trans={this.#trans} />;
  }
}

export const table: IRenderMime.IExtension = {
  id: 'pctx-jupyter:table',
  description: 'Rows that can be sorted.',
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
