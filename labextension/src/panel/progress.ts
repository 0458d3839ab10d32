/** Shows notifications for long runs of agents and clients, and for their outcome. Cells show their runs themselves. */

import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { ExecutionState } from '../api';
import { inertLine } from '../inert';
import type { Notifier } from '../notifier';
import { endName } from './names';
import { duration } from './words';

/** Characters of a title in a notification. */
const MOST_TITLE = 80;

export class Progress {
  /** Seconds after which a run is long; 0: no notifications. */
  afterS = 0;

  readonly #trans: TranslationBundle;
  readonly #stop: (run: ExecutionState) => void;
  readonly #notifier: Notifier;
  readonly #now: () => number;
  readonly #waiting = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #shown = new Map<string, string>();
  #latest = new Map<string, ExecutionState>();

  constructor(
    trans: TranslationBundle,
    stop: (run: ExecutionState) => void,
    notifier: Notifier = Notification,
    now: () => number = () => Date.now() / 1000
  ) {
    this.#trans = trans;
    this.#stop = stop;
    this.#notifier = notifier;
    this.#now = now;
  }

  /**
   * Show the state of the runs.
   *
   * @param asking - The ids of runs that wait for a person: the question has a notification of its own.
   */
  update(runs: readonly ExecutionState[], asking: ReadonlySet<string> = new Set()): void {
    for (const id of asking) {
      const notification = this.#shown.get(id);
      if (notification !== undefined) {
        this.#notifier.dismiss(notification);
      }
      clearTimeout(this.#waiting.get(id));
      this.#shown.delete(id);
      this.#waiting.delete(id);
    }
    this.#latest = new Map(runs.map(run => [run.id, run]));
    for (const run of runs) {
      const isOthers = run.asked_by === 'agent' || run.asked_by === 'client';
      if (
        run.state === 'running' &&
        isOthers &&
        !asking.has(run.id) &&
        this.afterS > 0 &&
        !this.#waiting.has(run.id) &&
        !this.#shown.has(run.id)
      ) {
        const wait = Math.max(0, run.started_at + this.afterS - this.#now());
        this.#waiting.set(
          run.id,
          setTimeout(() => {
            this.#begin(run.id);
          }, wait * 1000)
        );
      }
    }
    for (const id of [...this.#waiting.keys(), ...this.#shown.keys()]) {
      const run = this.#latest.get(id);
      if (run?.state !== 'running') {
        this.#end(id, run);
      }
    }
  }

  /** Show nothing more. */
  dispose(): void {
    this.#waiting.forEach(timer => {
      clearTimeout(timer);
    });
    this.#waiting.clear();
  }

  #begin(id: string): void {
    this.#waiting.delete(id);
    const run = this.#latest.get(id);
    if (run?.state !== 'running') {
      return;
    }
    const message = this.#trans.__('Running: %1', inertLine(run.title, MOST_TITLE));
    const actions = [
      {
        label: this.#trans.__('Stop'),
        callback: () => {
          this.#stop(run);
        }
      }
    ];
    this.#shown.set(id, this.#notifier.emit(message, 'in-progress', { autoClose: false, actions }));
  }

  #end(id: string, run: ExecutionState | undefined): void {
    clearTimeout(this.#waiting.get(id));
    this.#waiting.delete(id);
    const notification = this.#shown.get(id);
    this.#shown.delete(id);
    if (notification === undefined) {
      return;
    }
    if (!run) {
      this.#notifier.dismiss(notification);
      return;
    }
    const title = inertLine(run.title, MOST_TITLE);
    const isOk = run.state === 'ok';
    const isError = run.state === 'failed' && !run.refused;
    const end = endName(run, this.#trans);
    const message = isOk
      ? this.#trans.__('Done in %1: %2', duration(run.duration_s ?? 0), title)
      : isError && run.error
        ? this.#trans.__('Failed: %1 (%2)', title, inertLine(run.error, MOST_TITLE))
        : `${end.charAt(0).toUpperCase()}${end.slice(1)}: ${title}`;
    this.#notifier.update({
      id: notification,
      message,
      type: isOk ? 'success' : isError ? 'error' : 'info',
      autoClose: 5000,
      actions: []
    });
  }
}
