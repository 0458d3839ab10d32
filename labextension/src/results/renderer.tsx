/** Joins a timeline to JupyterLab: our MIME type in an output becomes a widget, drawn anew when the run goes on. */

import { Clipboard } from '@jupyterlab/apputils';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { nullTranslator, type ITranslator, type TranslationBundle } from '@jupyterlab/translation';
import { VDomRenderer } from '@jupyterlab/ui-components';
import React from 'react';

import { JUMP, type Jump } from './jump';
import { TimelineModel } from './model';
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
        jump={(line, column) => {
          const detail: Jump = { line, column };
          this.node.dispatchEvent(new CustomEvent(JUMP, { bubbles: true, detail }));
        }}
      />
    );
  }
}

export const timeline: IRenderMime.IExtension = {
  id: 'pctx-jupyter:timeline',
  description: 'How the run of a program went.',
  rendererFactory: {
    safe: true, // also in notebooks nobody vouches for: it draws text
    mimeTypes: [MIME],
    createRenderer: options => new TimelineRenderer(options.translator ?? nullTranslator)
  },
  rank: 0,
  dataType: 'json'
};
