/**
 * Finds out whether a notebook's kernel has loaded pctx, and loads it.
 *
 * The kernel itself is asked, with a request that leaves no trace in its history: a kernel with an engine of its own is
 * unknown to the server. This module knows kernels. It does not know notebooks and how the outcome is shown.
 */

import type { KernelMessage } from '@jupyterlab/services';
import { type ISignal, Signal } from '@lumino/signaling';

/** `unknown`: it has not been asked yet, or cannot say; `foreign`: its language has no such extension. */
export type LoadState = 'unknown' | 'foreign' | 'absent' | 'loading' | 'loaded';

/** What is needed of a kernel: JupyterLab's, or a replacement in tests. */
export interface LoadableKernel {
  readonly id: string;
  readonly info: Promise<{ language_info: { name: string } }>;
  requestExecute(
    content: KernelMessage.IExecuteRequestMsg['content'],
    disposeOnDone?: boolean
  ): { readonly done: Promise<KernelMessage.IExecuteReplyMsg>; readonly msg: { header: { msg_id: string } } };
}

/** Whether the magics are there, as a Python expression. */
const IS_LOADED = "'_pctx' in __import__('IPython').get_ipython().__dict__";
const LOAD = '%load_ext pctx_jupyter';

export class KernelLoading {
  /** Why the last attempt to load it failed; empty: it did not. */
  error = '';
  readonly #changed = new Signal<this, void>(this);
  readonly #own = new Set<string>();
  #kernel: LoadableKernel | null = null;
  #state: LoadState = 'unknown';
  /** Counts the kernels and their restarts, so that answers from before are dropped. */
  #life = 0;
  #isAsking = false;

  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  get state(): LoadState {
    return this.#state;
  }

  /** Whether a message answers a request of this object, and not the user's. */
  isOwn(parentId: string): boolean {
    return this.#own.has(parentId);
  }

  /** Follow another kernel, or the same one after a restart. */
  follow(kernel: LoadableKernel | null): void {
    this.#kernel = kernel;
    this.#life++;
    this.#isAsking = false;
    this.error = '';
    this.#become('unknown');
  }

  /** Ask the kernel, unless it is known to have loaded pctx. */
  async ask(): Promise<void> {
    const kernel = this.#kernel;
    if (!kernel || this.#isAsking || !['unknown', 'absent'].includes(this.#state)) {
      return;
    }
    const life = this.#life;
    this.#isAsking = true;
    try {
      const isPython = (await kernel.info).language_info.name.toLowerCase().includes('python');
      if (life !== this.#life) {
        return;
      }
      if (!isPython) {
        this.#become('foreign');
        return;
      }
      const reply = await this.#request(kernel, '', { loaded: IS_LOADED });
      if (life === this.#life && this.#state !== 'loading') {
        this.#become(isTrue(reply) ? 'loaded' : 'absent');
      }
    } catch {
      // The kernel has ended, or was replaced: the next one is asked.
    } finally {
      if (life === this.#life) {
        this.#isAsking = false;
      }
    }
  }

  /** Load pctx; afterwards the state is `loaded`, or `absent` with an error. */
  async load(): Promise<void> {
    const kernel = this.#kernel;
    if (!kernel || this.#state === 'loading' || this.#state === 'loaded') {
      return;
    }
    const life = this.#life;
    this.error = '';
    this.#become('loading');
    let failed = '';
    let isLoaded = false;
    try {
      const reply = await this.#request(kernel, LOAD, { loaded: IS_LOADED });
      isLoaded = isTrue(reply);
      failed = reply.status === 'error' ? `${reply.ename}: ${reply.evalue}` : '';
    } catch (error) {
      failed = error instanceof Error ? error.message : String(error);
    }
    if (life === this.#life) {
      this.error = isLoaded ? '' : failed || 'ImportError';
      this.#become(isLoaded ? 'loaded' : 'absent');
    }
  }

  async #request(
    kernel: LoadableKernel,
    code: string,
    user_expressions: Record<string, string>
  ): Promise<KernelMessage.IExecuteReplyMsg['content']> {
    const silent = code === '';
    const future = kernel.requestExecute(
      { code, silent, store_history: false, allow_stdin: false, stop_on_error: false, user_expressions },
      true
    );
    this.#own.add(future.msg.header.msg_id);
    return (await future.done).content;
  }

  #become(state: LoadState): void {
    this.#state = state;
    this.#changed.emit();
  }
}

function isTrue(reply: KernelMessage.IExecuteReplyMsg['content']): boolean {
  if (reply.status !== 'ok') {
    return false;
  }
  const found = reply.user_expressions.loaded as { data?: Record<string, unknown> } | undefined;
  return found?.data?.['text/plain'] === 'True';
}
