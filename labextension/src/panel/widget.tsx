/** The panel and the status bar's item, as widgets. */

import { EditorView } from '@codemirror/view';
import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import { TextItem } from '@jupyterlab/statusbar';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import type { Widget } from '@lumino/widgets';
import React from 'react';

import { pctxIcon } from '../icon';
import type { Drafts } from '../approvals/model';
import type { Actions } from './actions';
import type { PanelModel } from './model';
import { readSplit } from './divider';
import { Panel } from './view';

/** The documents of JupyterLab and of Notebook. */
const MAIN_AREA = '.jp-MainAreaWidget, .jp-Document, .jp-NotebookPanel';

export class PanelWidget extends ReactWidget {
  readonly #model: PanelModel;
  readonly #drafts: Drafts;
  readonly #actions: Actions;
  readonly #trans: TranslationBundle;
  readonly #listener = (event: KeyboardEvent): void => {
    this.#onKeyDown(event);
  };
  readonly #focusListener = (event: FocusEvent): void => {
    this.#onFocus(event);
  };
  /** The question that has the focus: after its answer, the focus goes on. */
  answering: string | null = null;
  /** What had the focus in a document last: an editor gets edit mode back with it. */
  #before: HTMLElement | null = null;

  constructor(model: PanelModel, drafts: Drafts, actions: Actions, trans: TranslationBundle) {
    super();
    this.#model = model;
    this.#drafts = drafts;
    this.#actions = actions;
    this.#trans = trans;
    model.split = readSplit();
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

  /** Take the keyboard focus: into the chosen question, or the list. */
  protected override onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.takeFocus();
  }

  /** Move the focus into the chosen question, or the list; the panel may not be drawn yet. */
  takeFocus(tries = 5): void {
    const isQuestion = this.#model.chosenRow?.kind === 'question';
    const question = this.node.querySelector<HTMLElement>('.pctx-mod-question.pctx-Detail');
    const target = isQuestion
      ? (question?.querySelector<HTMLElement>('textarea:not([readonly]), input, select') ?? question)
      : this.node.querySelector<HTMLElement>('.pctx-List');
    if (target) {
      target.focus();
    } else if (tries > 0) {
      requestAnimationFrame(() => {
        this.takeFocus(tries - 1);
      });
    }
  }

  /** Show on the sidebar's icon how many calls wait for a person. */
  count(waiting: number): void {
    this.title.dataset = waiting > 0 ? { pctxWaiting: String(waiting) } : {};
    const text = this.#trans.__('pctx: tools and runs');
    this.title.caption =
      waiting > 0 ? `${text} · ${this.#trans._n('%1 waits for you', '%1 wait for you', waiting)}` : text;
  }

  /** Give the focus back to the element that had it, or to the notebook. */
  giveFocus(): void {
    const before = this.#before;
    this.#actions.leave();
    if (before?.isConnected) {
      // An editor puts its cursor back, which the browser alone does not always. What only contains editors is none.
      const editor = before.matches('.cm-content') ? EditorView.findFromDOM(before) : null;
      (editor ?? before).focus();
    }
  }

  #onFocus({ target }: FocusEvent): void {
    const row = this.#model.chosenRow;
    const isIn = target instanceof Element && this.node.contains(target) && target.closest('.pctx-Detail') !== null;
    this.answering = isIn && row?.kind === 'question' ? row.question.id : null;
    // Not a notification, in which a person has just pressed a button: it is gone soon.
    if (target instanceof HTMLElement && target.closest(MAIN_AREA) !== null) {
      this.#before = target;
    }
  }

  #onKeyDown(event: KeyboardEvent): void {
    const isSearch = event.target instanceof HTMLInputElement && event.target.value !== '';
    if (event.key === 'Escape' && !event.defaultPrevented && !isSearch) {
      event.preventDefault();
      event.stopPropagation();
      this.giveFocus();
    }
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this.node.addEventListener('keydown', this.#listener);
    document.addEventListener('focusin', this.#focusListener);
  }

  protected override onBeforeDetach(message: Message): void {
    this.node.removeEventListener('keydown', this.#listener);
    document.removeEventListener('focusin', this.#focusListener);
    super.onBeforeDetach(message);
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
    const tree = this.node.querySelector('.pctx-List');
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
      return this.#trans.__('pctx: the server does not answer');
    }
    const waiting = this.#model.questions.length;
    if (waiting > 0) {
      return this.#trans._n('pctx: %1 waits for you', 'pctx: %1 wait for you', waiting);
    }
    const running = this.#model.runs.filter(run => run.state === 'running').length;
    return running > 0 ? this.#trans._n('pctx: %1 running', 'pctx: %1 running', running) : 'pctx';
  }

  #title(): string {
    const { status } = this.#model;
    if (!status) {
      return this.#trans.__('pctx: tools and runs');
    }
    const { warm, running, hosts } = status.sandbox;
    return [
      this.#trans.__('pctx %1', status.version),
      this.#trans._n('%1 tool', '%1 tools', status.tools),
      Array.isArray(hosts)
        ? this.#trans._n(
            '%1 sandbox host, %2 running',
            '%1 sandbox hosts, %2 running',
            hosts.length,
            Number(running ?? 0)
          )
        : this.#trans.__('%1 sandboxes ready, %2 running', Number(warm ?? 0), Number(running ?? 0))
    ].join('\n');
  }
}
