/**
 * Finds out whether a run that a saved trace calls running still runs, and how it ended if not.
 *
 * A run is alive if its cell is executing, or if the server lists it as running. The server is asked with one request for all
 * outputs, less and less often while it does not answer. A front end whose server has no pctx asks once: then a run is alive
 * only with its cell.
 */

import * as api from '../api';
import { Pause } from '../pause';

/** What is known of a run: whether it is alive, or the last trace of one that has ended. */
export type Found = { life: 'alive' | 'cut' } | { trace: api.Trace };

/** Milliseconds after which a run that was alive is looked up again. */
export const AGAIN_MS = 2000;

/** The part of `api.ts` that is needed. */
export type RunSource = Pick<typeof api, 'executions' | 'trace'>;

export class RunLookup {
  readonly #source: RunSource;
  #listing: Promise<api.ExecutionState[]> | null = null;
  #isAbsent = false;
  readonly #pause: Pause;

  constructor(source: RunSource, now: () => number = () => performance.now()) {
    this.#source = source;
    this.#pause = new Pause(AGAIN_MS, now);
  }

  /**
   * Look a run up by its trace's id.
   *
   * @throws Error The server does not answer, or has not answered shortly before.
   */
  async find(id: string): Promise<Found> {
    if (this.#isAbsent || id === '') {
      return { life: 'cut' };
    }
    const listed = (await this.#list()).find(run => run.id === id);
    if (!listed) {
      return { life: 'cut' };
    }
    return listed.state === 'running' ? { life: 'alive' } : { trace: await this.#source.trace(id) };
  }

  async #list(): Promise<api.ExecutionState[]> {
    if (this.#listing === null && !this.#pause.isOver) {
      throw new Error('The server has not answered');
    }
    const isFirst = this.#listing === null;
    this.#listing ??= this.#source.executions();
    try {
      const listed = await this.#listing;
      this.#pause.end();
      return listed;
    } catch (error) {
      if (isFirst) {
        this.#pause.begin();
      }
      if (error instanceof api.ApiError && error.status === 404 && !error.isOurs) {
        this.#isAbsent = true;
        return [];
      }
      throw error;
    } finally {
      this.#listing = null;
    }
  }
}

/** Whether the cell around an output is executing, as its prompt shows. */
export function isExecuting(node: Element): boolean {
  const prompt = node.closest('.jp-CodeCell')?.querySelector('.jp-InputPrompt');
  return prompt?.textContent?.includes('[*]') ?? false;
}
