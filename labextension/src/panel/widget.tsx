/** The panel and the status bar's item, as widgets. */

import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import { TextItem } from '@jupyterlab/statusbar';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import type { Widget } from '@lumino/widgets';
import React from 'react';

import { pctxIcon } from '../icon';
import type { Drafts } from '../approvals/model';
import type { PanelModel } from './model';
import { type Actions, Panel } from './view';

export class PanelWidget extends ReactWidget {
  readonly #model: PanelModel;
  readonly #drafts: Drafts;
  readonly #actions: Actions;
  readonly #trans: TranslationBundle;

  constructor(model: PanelModel, drafts: Drafts, actions: Actions, trans: TranslationBundle) {
    super();
    this.#model = model;
    this.#drafts = drafts;
    this.#actions = actions;
    this.#trans = trans;
    this.id = 'pctx-panel';
    this.addClass('pctx-Panel');
    this.title.icon = pctxIcon;
    this.title.caption = trans.__('pctx: tools and runs');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('pctx: tools and runs'));
  }

  protected override render(): React.ReactElement {
    return (
      <UseSignal signal={this.#model.changed}>
        {() => (
          <UseSignal signal={this.#drafts.changed}>
            {() => <Panel model={this.#model} drafts={this.#drafts} actions={this.#actions} trans={this.#trans} />}
          </UseSignal>
        )}
      </UseSignal>
    );
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.#model.show(true);
    this.#measure();
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this.#model.show(false);
  }

  protected override onResize(message: Widget.ResizeMessage): void {
    super.onResize(message);
    this.#measure();
  }

  /** The height of the whole panel: it is an upper bound of the list's height, which changes with the chosen row. */
  #measure(): void {
    const tree = this.node.querySelector('.pctx-Tree');
    this.#model.scroll(tree?.scrollTop ?? 0, this.node.clientHeight);
  }
}

export class StatusWidget extends ReactWidget {
  readonly #model: PanelModel;
  readonly #open: () => void;
  readonly #trans: TranslationBundle;

  constructor(model: PanelModel, open: () => void, trans: TranslationBundle) {
    super();
    this.#model = model;
    this.#open = open;
    this.#trans = trans;
    this.addClass('pctx-Status');
    this.addClass('jp-mod-highlighted');
  }

  protected override render(): React.ReactElement {
    return (
      <UseSignal signal={this.#model.changed}>
        {() => (
          <TextItem
            source={this.#text()}
            title={this.#title()}
            role="button"
            tabIndex={0}
            onClick={this.#open}
            onKeyDown={(event: React.KeyboardEvent) => {
              if (event.key === 'Enter' || event.key === ' ') {
                event.preventDefault();
                this.#open();
              }
            }}
          />
        )}
      </UseSignal>
    );
  }

  #text(): string {
    const { connection } = this.#model;
    if (connection === 'lost') {
      return this.#trans.__('pctx: no answer');
    }
    const running = this.#model.runs.filter(run => run.state === 'running').length;
    return running > 0 ? this.#trans._n('pctx: %1 running', 'pctx: %1 running', running) : 'pctx';
  }

  #title(): string {
    const { status } = this.#model;
    if (!status) {
      return this.#trans.__('pctx: tools and runs');
    }
    const { warm, running } = status.sandbox;
    return [
      this.#trans.__('pctx %1', status.version),
      this.#trans._n('%1 tool', '%1 tools', status.tools),
      this.#trans.__('%1 sandboxes ready, %2 running', Number(warm ?? 0), Number(running ?? 0))
    ].join('\n');
  }
}
