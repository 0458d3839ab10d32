/** The dialog that adds MCP servers: what to reach, its name, and what goes along. Errors are shown in it. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import type { UpstreamEntry } from '../api';
import { inert } from '../inert';
import { type ServerForm, entriesOf, kindOf, nameOf } from './entries';

/** What the dialog returns: servers to add, and whether they are kept for later. */
export interface ServersToAdd {
  entries: UpstreamEntry[];
  persist: boolean;
}

interface FilledForm extends ServerForm {
  isForNow: boolean;
}

class FormWidget extends Widget {
  readonly #trans: TranslationBundle;
  readonly #where: HTMLTextAreaElement;
  readonly #name: HTMLInputElement;
  readonly #extra: HTMLTextAreaElement;
  readonly #extraLabel = document.createElement('span');
  readonly #isForNow = document.createElement('input');

  constructor(form: FilledForm, error: string, trans: TranslationBundle) {
    super();
    this.#trans = trans;
    this.addClass('pctx-ServerForm');
    this.#where = this.#field(
      trans.__('Address, command, or JSON with mcpServers'),
      document.createElement('textarea')
    );
    this.#where.rows = 2;
    this.#where.placeholder = 'https://…\nuvx mcp-server-time';
    this.#name = this.#field(trans.__('Name'), document.createElement('input'));
    this.#extra = this.#field(this.#extraLabel, document.createElement('textarea'));
    this.#extra.rows = 2;
    const label = document.createElement('label');
    this.#isForNow.type = 'checkbox';
    label.append(this.#isForNow, ` ${trans.__('Only until this server of Jupyter ends')}`);
    this.node.append(label);
    if (error) {
      const text = document.createElement('p');
      text.className = 'pctx-Detail-error';
      text.setAttribute('role', 'alert');
      text.textContent = inert(error, 1000);
      this.node.append(text);
    }
    [this.#where.value, this.#name.value, this.#extra.value] = [form.where, form.name, form.extra];
    this.#isForNow.checked = form.isForNow;
    this.#where.addEventListener('input', () => {
      this.#adapt();
    });
    this.#adapt();
  }

  getValue(): FilledForm {
    const isJson = kindOf(this.#where.value) === 'json';
    return {
      where: this.#where.value,
      name: isJson ? '' : this.#name.value,
      extra: isJson ? '' : this.#extra.value,
      isForNow: this.#isForNow.checked
    };
  }

  /** Show what fits the address. */
  #adapt(): void {
    const kind = kindOf(this.#where.value);
    this.#name.placeholder = this.#where.value.trim() ? nameOf(this.#where.value, this.#trans) : '';
    this.#name.disabled = this.#extra.disabled = kind === 'json';
    this.#extraLabel.textContent =
      kind === 'url' ? this.#trans.__('Headers, one a line') : this.#trans.__('Environment, one a line');
    this.#extra.placeholder = kind === 'url' ? 'Authorization: Bearer ${env:TOKEN}' : 'TOKEN=${env:TOKEN}';
  }

  #field<T extends HTMLElement>(name: string | HTMLElement, field: T): T {
    const label = document.createElement('label');
    label.append(name, field);
    field.classList.add('jp-mod-styled');
    field.setAttribute('spellcheck', 'false');
    this.node.append(label);
    return field;
  }
}

/**
 * Ask for servers to add, until they can be added or the person cancels.
 *
 * @param add - Adds them; its error is shown in the dialog, which keeps what was typed.
 */
export async function askForServers(
  add: (servers: ServersToAdd) => Promise<void>,
  trans: TranslationBundle
): Promise<void> {
  let form: FilledForm = { where: '', name: '', extra: '', isForNow: false };
  let error = '';
  for (;;) {
    const result = await showDialog({
      title: trans.__('Add an MCP server'),
      body: new FormWidget(form, error, trans),
      buttons: [Dialog.cancelButton(), Dialog.okButton({ label: trans.__('Add') })],
      focusNodeSelector: 'textarea'
    });
    if (!result.button.accept || !result.value) {
      return;
    }
    form = result.value;
    try {
      await add({ entries: entriesOf(form, trans), persist: !form.isForNow });
      return;
    } catch (failure) {
      error = failure instanceof Error ? failure.message : String(failure);
    }
  }
}
