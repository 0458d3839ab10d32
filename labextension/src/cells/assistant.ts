/**
 * Sends the requests of editors about cells to the server.
 *
 * Of completion, help and signatures only the latest request counts: an older one is cancelled. Checks run one after
 * another. If a kernel does not have pctx, or the server cannot be reached, requests stop for a while. This time doubles with
 * each failure. A server that does not have pctx gets no further requests. This module does not know editors.
 */

import type { CellPlace, Completed, Explained, ExplainedCall, Underlined } from '../api';
import { ApiError } from '../api';
import { Pause } from '../pause';

/** The outcome of a request: an answer; not yet, but perhaps soon; or no answer. */
export type EditorReply<T> = { status: 'known'; value: T } | { status: 'later' } | { status: 'unknown' };

/** The requests, as `api.ts` has them. */
export interface CellRequests {
  readonly complete: (place: CellPlace, signal?: AbortSignal) => Promise<Completed>;
  readonly hover: (place: CellPlace, signal?: AbortSignal) => Promise<Explained>;
  readonly signature: (place: CellPlace, signal?: AbortSignal) => Promise<ExplainedCall>;
  readonly diagnostics: (source: string, kernelId: string, signal?: AbortSignal) => Promise<Underlined[]>;
}

/** Milliseconds of the first pause after a failed request. */
const SHORTEST_PAUSE_MS = 1_000;
/** The key of the pause of requests about all kernels. */
const SERVER = '';

export class Assistant {
  readonly #ask: CellRequests;
  readonly #now: () => number;
  /** The pauses of requests, by kernel, or `SERVER` for all kernels. */
  readonly #pauses = new Map<string, Pause>();
  /** Whether the server has no pctx. */
  #isAbsent = false;
  readonly #newest = new Map<string, AbortController>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ask: CellRequests, now: () => number = () => performance.now()) {
    this.#ask = ask;
    this.#now = now;
  }

  complete(place: CellPlace): Promise<EditorReply<Completed>> {
    return this.#newestOf('complete', place, this.#ask.complete);
  }

  hover(place: CellPlace): Promise<EditorReply<Explained>> {
    return this.#newestOf('hover', place, this.#ask.hover);
  }

  signature(place: CellPlace): Promise<EditorReply<ExplainedCall>> {
    return this.#newestOf('signature', place, this.#ask.signature);
  }

  diagnostics(source: string, kernelId: string, signal: AbortSignal): Promise<EditorReply<Underlined[]>> {
    const done = this.#turn.then(() =>
      this.#send(kernelId, signal, () => this.#ask.diagnostics(source, kernelId, signal))
    );
    this.#turn = done;
    return done;
  }

  /** Whether requests about this kernel's cells are sent now. */
  isUseful(kernelId: string): boolean {
    return !this.#isAbsent && [SERVER, kernelId].every(key => this.#pauses.get(key)?.isOver ?? true);
  }

  /** Something may have changed: end the pause of requests, unless the server has no pctx. */
  wake(kernelId: string | null): void {
    this.#pauses.delete(SERVER);
    if (kernelId !== null) {
      this.#pauses.delete(kernelId);
    }
  }

  /** The server has reported a change, so it has pctx. */
  wakeAll(): void {
    this.#isAbsent = false;
    this.#pauses.clear();
  }

  #newestOf<T>(
    kind: string,
    place: CellPlace,
    ask: (place: CellPlace, signal: AbortSignal) => Promise<T>
  ): Promise<EditorReply<T>> {
    this.#newest.get(kind)?.abort();
    const controller = new AbortController();
    this.#newest.set(kind, controller);
    return this.#send(place.kernel_id, controller.signal, () => ask(place, controller.signal));
  }

  async #send<T>(kernelId: string, signal: AbortSignal, ask: () => Promise<T>): Promise<EditorReply<T>> {
    const isWithdrawn = (): boolean => signal.aborted;
    if (isWithdrawn() || !this.isUseful(kernelId)) {
      return { status: 'unknown' };
    }
    try {
      const value = await ask();
      this.wake(kernelId);
      return isWithdrawn() ? { status: 'unknown' } : { status: 'known', value };
    } catch (error) {
      if (isWithdrawn()) {
        return { status: 'unknown' };
      }
      if (!(error instanceof ApiError)) {
        throw error;
      }
      if (error.isOurs && error.status === 503) {
        return { status: 'later' };
      }
      if (error.status === 404 && !error.isOurs) {
        this.#isAbsent = true;
      } else if (error.status === 404) {
        this.#pause(kernelId);
      } else if (error.status !== 400) {
        this.#pause(SERVER);
      }
      return { status: 'unknown' };
    }
  }

  #pause(key: string): void {
    const pause = this.#pauses.get(key) ?? new Pause(SHORTEST_PAUSE_MS, this.#now);
    this.#pauses.set(key, pause);
    pause.begin();
  }
}
