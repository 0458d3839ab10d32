/** The dialog that adds MCP servers: what to reach, its name, and what goes along. Errors are shown in it. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import type { Upstream, UpstreamEntry } from '../api';
import { inert, inertLine } from '../inert';
import { type ServerForm, entriesOf, kindOf, nameOf } from './entries';

/** What the dialog returns: servers to add, and whether they are kept for later. */
export interface ServersToAdd {
  entries: UpstreamEntry[];
  persist: boolean;
}

/** What the dialog needs to do. */
export interface ServerRequests {
  /** Add servers; its error is shown in the dialog, which keeps what was typed. */
  add: (servers: ServersToAdd) => Promise<void>;
  /** Connect to one without adding it. */
  test: (entry: UpstreamEntry) => Promise<Upstream>;
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
  readonly #json: HTMLTextAreaElement;
  readonly #isForNow = document.createElement('input');
  readonly #outcome = document.createElement('div');
  readonly #test: (entry: UpstreamEntry) => Promise<Upstream>;
  /** The number of the latest test: an older one is no longer shown. */
  #tests = 0;

  constructor(form: FilledForm, error: string, requests: ServerRequests, trans: TranslationBundle) {
    super();
    this.#trans = trans;
    this.#test = requests.test;
    this.addClass('pctx-ServerForm');
    this.#where = this.#field(trans.__('URL or command'), document.createElement('textarea'));
    this.#where.rows = 2;
    this.#where.placeholder = 'https://…\nuvx mcp-server-time';
    this.#name = this.#field(trans.__('Name'), document.createElement('input'));
    this.#extra = this.#field(this.#extraLabel, document.createElement('textarea'));
    this.#extra.rows = 2;
    const hint = document.createElement('p');
    hint.className = 'pctx-Detail-quiet';
    hint.textContent = trans.__(
      'Do not type a secret here. %1 takes it from the environment of the Jupyter server.',
      '${env:NAME}'
    );
    this.node.append(hint);
    const pasted = document.createElement('details');
    const summary = document.createElement('summary');
    summary.textContent = trans.__('Or paste JSON with mcpServers');
    pasted.append(summary);
    this.node.append(pasted);
    this.#json = this.#field(trans.__('JSON'), document.createElement('textarea'), pasted);
    this.#json.rows = 4;
    this.#json.placeholder = '{"mcpServers": {"time": {"command": "uvx", "args": ["mcp-server-time"]}}}';
    const label = document.createElement('label');
    this.#isForNow.type = 'checkbox';
    label.append(this.#isForNow, ` ${trans.__('Only until the Jupyter server stops')}`);
    this.node.append(label);
    const test = document.createElement('button');
    test.type = 'button';
    test.className = 'jp-mod-styled';
    test.textContent = trans.__('Test');
    test.addEventListener('click', () => void this.#onTest());
    this.#outcome.setAttribute('role', 'status');
    this.#outcome.className = 'pctx-ServerForm-outcome';
    this.node.append(test, this.#outcome);
    if (error) {
      this.#show(error, [], true);
    }
    [this.#where.value, this.#name.value, this.#extra.value, this.#json.value] = [
      form.where,
      form.name,
      form.extra,
      form.json
    ];
    pasted.open = form.json !== '';
    this.#isForNow.checked = form.isForNow;
    for (const field of [this.#where, this.#json]) {
      field.addEventListener('input', () => {
        this.#adapt();
      });
    }
    this.#adapt();
  }

  getValue(): FilledForm {
    return {
      where: this.#where.value,
      name: this.#name.value,
      extra: this.#extra.value,
      json: this.#json.value,
      isForNow: this.#isForNow.checked
    };
  }

  /** Show what fits the address. */
  #adapt(): void {
    const isUrl = kindOf(this.#where.value) === 'url';
    const isPasted = this.#json.value.trim() !== '';
    this.#name.placeholder = this.#where.value.trim() ? nameOf(this.#where.value, this.#trans) : '';
    this.#where.disabled = this.#name.disabled = this.#extra.disabled = isPasted;
    this.#extraLabel.textContent = isUrl
      ? this.#trans.__('Headers and secrets, one per line')
      : this.#trans.__('Environment variables and secrets, one per line');
    this.#extra.placeholder = isUrl ? 'Authorization: Bearer ${env:TOKEN}' : 'TOKEN=${env:TOKEN}';
  }

  /** Connect to the server, or to each of several, and show what came of it. */
  async #onTest(): Promise<void> {
    const test = ++this.#tests;
    const isLatest = (): boolean => test === this.#tests && !this.isDisposed;
    try {
      const entries = entriesOf(this.getValue(), this.#trans);
      this.#show(this.#trans.__('Starting…'), [], false);
      const found = await Promise.all(entries.map(this.#test));
      if (isLatest()) {
        const isGood = found.every(server => server.state === 'ready' || server.state === 'needs sign-in');
        const logs = found.flatMap(server => (server.state === 'down' ? (server.log ?? []) : []));
        this.#show(found.map(server => outcomeOf(server, found.length > 1, this.#trans)).join('\n'), logs, !isGood);
      }
    } catch (failure) {
      if (isLatest()) {
        this.#show(failure instanceof Error ? failure.message : String(failure), [], true);
      }
    }
  }

  #show(text: string, log: readonly string[], isError: boolean): void {
    const words = document.createElement('p');
    words.textContent = inert(text, 2000);
    if (isError) {
      words.className = 'pctx-Detail-error';
      words.setAttribute('role', 'alert');
    }
    this.#outcome.replaceChildren(words);
    if (log.length > 0) {
      const box = document.createElement('pre');
      box.className = 'pctx-Code';
      box.tabIndex = 0;
      box.setAttribute('aria-label', this.#trans.__('The last lines of its log'));
      box.textContent = inert(log.join('\n'), 4000);
      this.#outcome.append(box);
    }
  }

  #field<T extends HTMLElement>(name: string | HTMLElement, field: T, parent: HTMLElement = this.node): T {
    const label = document.createElement('label');
    label.append(name, field);
    field.classList.add('jp-mod-styled');
    field.setAttribute('spellcheck', 'false');
    parent.append(label);
    return field;
  }
}

/** What came of a test, in words. */
export function outcomeOf(server: Upstream, isNamed: boolean, trans: TranslationBundle): string {
  const name = isNamed ? `${inertLine(server.name)}: ` : '';
  switch (server.state) {
    case 'ready':
      return name + trans._n('It works: %1 tool.', 'It works: %1 tools.', server.tools ?? 0);
    case 'needs sign-in':
      return name + trans.__('It works, but needs a sign-in. Add it, then sign in.');
    default:
      return name + (inertLine(server.error ?? '', 1000) || trans.__('It does not answer.'));
  }
}

/** Ask for servers to add, until they can be added or the person cancels. */
export async function askForServers(requests: ServerRequests, trans: TranslationBundle): Promise<void> {
  let form: FilledForm = { where: '', name: '', extra: '', json: '', isForNow: false };
  let error = '';
  for (;;) {
    const result = await showDialog({
      title: trans.__('Add an MCP server'),
      body: new FormWidget(form, error, requests, trans),
      buttons: [Dialog.cancelButton(), Dialog.okButton({ label: trans.__('Add') })],
      focusNodeSelector: 'textarea'
    });
    if (!result.button.accept || !result.value) {
      return;
    }
    form = result.value;
    try {
      await requests.add({ entries: entriesOf(form, trans), persist: !form.isForNow });
      return;
    } catch (failure) {
      error = failure instanceof Error ? failure.message : String(failure);
    }
  }
}
