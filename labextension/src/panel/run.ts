/** The state of the tab of one run: its trace, which is requested again while the run continues. Never touches the DOM. */

import { type ISignal, Signal } from '@lumino/signaling';

import type * as api from '../api';
import { type Loading, PENDING, failed, ready } from '../loading';
import { TimelineModel } from '../results/model';
import type { PanelModel } from './model';

/** Milliseconds between two requests for a trace that grows: its calls reach to the present. */
const GROWS_MS = 1000;

export class RunModel {
  readonly id: string;
  trace: Loading<api.Trace> = PENDING;
  readonly timeline = new TimelineModel();
  readonly #panel: PanelModel;
  readonly #source: Pick<typeof api, 'trace'>;
  readonly #changed = new Signal<this, void>(this);
  #run: api.ExecutionState | undefined;
  /** Counts the requests, so that late answers are dropped. */
  #asked = 0;
  #growing: ReturnType<typeof setTimeout> | undefined;

  constructor(id: string, panel: PanelModel, source: Pick<typeof api, 'trace'>) {
    this.id = id;
    this.#panel = panel;
    this.#source = source;
    this.timeline.stateChanged.connect(() => {
      this.#changed.emit();
    });
    panel.runsChanged.connect(this.#follow, this);
    this.#run = this.#find();
    void this.#ask();
  }

  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  /** The run in few words; undefined: the server has not listed it yet. */
  get run(): api.ExecutionState | undefined {
    return this.#run;
  }

  /** The kernels that the server knows. */
  get kernels(): readonly api.KernelState[] {
    return this.#panel.kernels;
  }

  dispose(): void {
    this.#asked++;
    clearTimeout(this.#growing);
    Signal.clearData(this);
    this.timeline.dispose();
  }

  #find(): api.ExecutionState | undefined {
    return this.#panel.run(this.id);
  }

  #follow(): void {
    const before = this.#run;
    this.#run = this.#find() ?? before; // the server forgets old runs
    // A run that has ended does not change.
    if (this.trace.status !== 'ready' || this.trace.value.state === 'running') {
      void this.#ask();
    } else if (before === undefined) {
      this.#changed.emit();
    }
  }

  async #ask(): Promise<void> {
    const number = ++this.#asked;
    clearTimeout(this.#growing);
    let trace: Loading<api.Trace>;
    try {
      trace = ready(await this.#source.trace(this.id));
    } catch (error) {
      trace = failed(error);
    }
    if (number !== this.#asked) {
      return;
    }
    if (trace.status === 'ready' || this.trace.status !== 'ready') {
      this.trace = trace;
    } else if (this.trace.value.state === 'running') {
      this.timeline.life = 'cut'; // the server does not know it any more, so its last trace stays
    }
    if (trace.status === 'ready') {
      if (trace.value.state === 'running') {
        this.#growing = setTimeout(() => void this.#ask(), GROWS_MS);
      }
      this.timeline.life = 'alive';
      this.timeline.json = trace.value;
    }
    this.#changed.emit();
  }
}
