/**
 * Asks the server about cells on behalf of editors, and keeps calm when it has no answer.
 *
 * Of completion, help and signatures only the newest question counts: an older one is withdrawn. Checks wait for one
 * another. A kernel that does not know pctx, and a server that does not, or is away, are left alone for a while, which
 * doubles each time. Knows nothing of editors.
 */

import type { CellPlace, Completed, Explained, ExplainedCall, Underlined } from '../api';
import { ApiError } from '../api';

/** What came of a question: an answer; none yet, but soon perhaps; or none, and nobody who will know. */
export type Answer<T> = { status: 'known'; value: T } | { status: 'later' } | { status: 'unknown' };

/** The questions; `api.ts` has them. */
export interface Questions {
  readonly complete: (place: CellPlace, signal?: AbortSignal) => Promise<Completed>;
  readonly hover: (place: CellPlace, signal?: AbortSignal) => Promise<Explained>;
  readonly signature: (place: CellPlace, signal?: AbortSignal) => Promise<ExplainedCall>;
  readonly diagnostics: (source: string, kernelId: string, signal?: AbortSignal) => Promise<Underlined[]>;
}

const SHORTEST_REST_MS = 1_000;
const LONGEST_REST_MS = 60_000;
const SERVER = '';

export class Assistant {
  readonly #ask: Questions;
  readonly #now: () => number;
  /** By kernel, or `SERVER` for all of them. */
  readonly #rests = new Map<string, { until: number; next: number }>();
  readonly #newest = new Map<string, AbortController>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ask: Questions, now: () => number = () => performance.now()) {
    this.#ask = ask;
    this.#now = now;
  }

  complete(place: CellPlace): Promise<Answer<Completed>> {
    return this.#newestOf('complete', place, this.#ask.complete);
  }

  hover(place: CellPlace): Promise<Answer<Explained>> {
    return this.#newestOf('hover', place, this.#ask.hover);
  }

  signature(place: CellPlace): Promise<Answer<ExplainedCall>> {
    return this.#newestOf('signature', place, this.#ask.signature);
  }

  diagnostics(source: string, kernelId: string, signal: AbortSignal): Promise<Answer<Underlined[]>> {
    const done = this.#turn.then(() =>
      this.#send(kernelId, signal, () => this.#ask.diagnostics(source, kernelId, signal))
    );
    this.#turn = done;
    return done;
  }

  /** Whether questions about this kernel's cells are asked at all just now. */
  isUseful(kernelId: string): boolean {
    const now = this.#now();
    return [SERVER, kernelId].every(key => (this.#rests.get(key)?.until ?? 0) <= now);
  }

  /** Something happened that may have changed who knows what: ask again. */
  wake(kernelId: string | null): void {
    this.#rests.delete(SERVER);
    if (kernelId !== null) {
      this.#rests.delete(kernelId);
    }
  }

  #newestOf<T>(
    kind: string,
    place: CellPlace,
    ask: (place: CellPlace, signal: AbortSignal) => Promise<T>
  ): Promise<Answer<T>> {
    this.#newest.get(kind)?.abort();
    const controller = new AbortController();
    this.#newest.set(kind, controller);
    return this.#send(place.kernel_id, controller.signal, () => ask(place, controller.signal));
  }

  async #send<T>(kernelId: string, signal: AbortSignal, ask: () => Promise<T>): Promise<Answer<T>> {
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
      if (error.isOurs && error.status === 404) {
        this.#rest(kernelId);
      } else if (error.status !== 400) {
        this.#rest(SERVER);
      }
      return { status: 'unknown' };
    }
  }

  #rest(key: string): void {
    const next = this.#rests.get(key)?.next ?? SHORTEST_REST_MS;
    this.#rests.set(key, { until: this.#now() + next, next: Math.min(2 * next, LONGEST_REST_MS) });
  }
}
