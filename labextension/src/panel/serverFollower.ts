/**
 * Follows the server: whether it can be reached, its status, and what the panel knows of kernels, runs, questions and MCP
 * servers.
 *
 * It requests data when the server reports a change, never by the clock, and only data that is shown. It does not know rows.
 */

import type * as api from '../api';
import { ApiError } from '../api';
import { RequestTurns } from './requestTurns';
import { type PanelData, serverKey, wordsOf } from './rows';
import { ToolLists } from './toolLists';

/** The requests of the panel: `api.ts`, or a replacement in tests. */
export type Source = Pick<
  typeof api,
  | 'kernels'
  | 'kernel'
  | 'executions'
  | 'history'
  | 'handles'
  | 'trace'
  | 'status'
  | 'watch'
  | 'approvals'
  | 'permissions'
  | 'upstreams'
  | 'upstream'
>;

/** `absent`: the server has no pctx; `lost`: it does not answer, and is retried. */
export type PanelConnection = 'pending' | 'ready' | 'absent' | 'lost';

/** Milliseconds before a lost server is retried: the first time, and at most. */
const RETRY_MS = [1_000, 30_000] as const;

/** Runs a function later; tests pass their own. */
export type Later = (act: () => void, milliseconds: number) => void;

/** What is shown, which decides what is requested, and what receives the answers. */
export interface PanelView {
  data: () => PanelData;
  isShown: () => boolean;
  /** The text of the search. */
  query: () => string;
  /** Whether the row of a server is open, by its key. */
  isOpen: (key: string) => boolean;
  know: (news: Partial<PanelData>) => void;
  /** The connection or the status has changed. */
  change: () => void;
  /** Tools may have changed. */
  changeCatalogs: () => void;
  /** The calls that wait for consent were requested again; they are known already. */
  takeQuestions: (questions: readonly api.Question[]) => void;
  /** The runs were requested again; they are known already. */
  takeRuns: (runs: readonly api.ExecutionState[]) => void;
  /** Request the trace of the chosen run again, if one is chosen. */
  refreshRun: () => Promise<void>;
}

export class ServerFollower {
  connection: PanelConnection = 'pending';
  status: api.EngineStatus | null = null;

  readonly #source: Source;
  readonly #later: Later;
  readonly #view: PanelView;
  readonly #lists: ToolLists;
  readonly #requests = new RequestTurns(() => this.#signal?.aborted ?? false);
  #signal: AbortSignal | null = null;
  #failures = 0;
  /** The kernels for which this page shows the programs of others. */
  #drawn: readonly string[] = [];
  #draw: ((kernels: readonly string[]) => void) | null = null;

  constructor(source: Source, later: Later, view: PanelView) {
    this.#source = source;
    this.#later = later;
    this.#view = view;
    this.#lists = new ToolLists(source);
  }

  /** Follow the server, until `signal` aborts. */
  start(signal: AbortSignal): void {
    this.#signal = signal;
    void this.#connect();
  }

  /** Retry a server that had no pctx, or was lost. */
  retry(): void {
    if (this.connection !== 'ready') {
      void this.#connect();
    }
  }

  /** Report for which kernels this page shows the programs of others. */
  draw(kernels: readonly string[]): void {
    const sorted = [...kernels].sort();
    if (sorted.join() !== this.#drawn.join()) {
      this.#drawn = sorted;
      this.#draw?.(sorted);
    }
  }

  /** Request the handles of the kernel in front, if it is connected. */
  askForHandles(): void {
    this.#requests.send('handles', async () => {
      const { front } = this.#view.data();
      const isThere = this.#kernels.some(kernel => kernel.kernel_id === front && kernel.connected);
      if (!this.#view.isShown() || this.connection !== 'ready') {
        return;
      }
      let handles: PanelData['handles'] = null;
      if (front !== null && isThere) {
        const { handles: list, more = 0 } = await this.#source.handles(front);
        handles = { kernel: front, list, more, at: Date.now() / 1000 };
      }
      this.#view.know({ handles });
    });
  }

  /** Request the tools of the kernels, if the panel is visible. */
  askForTools(): void {
    this.#requests.send('tools', () => this.#askForTools());
  }

  /** Request the tools of the servers that are open; during a search, of all servers. */
  askForOffered(): void {
    this.#requests.send('offered', () => this.#askForOffered());
  }

  /** Request the runs of earlier days that the search finds; without a search there are none. */
  askForPast(): void {
    this.#requests.send('history', () => this.#askForPast());
  }

  get #kernels(): readonly api.KernelState[] {
    return this.#view.data().kernels ?? [];
  }

  async #connect(): Promise<void> {
    const signal = this.#signal;
    if (!signal || signal.aborted) {
      return;
    }
    try {
      await this.#askForStatus();
    } catch (error) {
      if (error instanceof ApiError && error.status !== 0 && error.status < 500) {
        this.#become('absent');
      } else {
        this.#lose();
      }
      return;
    }
    this.#source.watch(
      {
        opened: draw => {
          this.#failures = 0;
          this.#draw = draw;
          draw(this.#drawn);
          this.#lists.restart();
          this.#become('ready');
          (['sessions', 'executions', 'upstreams', 'approvals'] as const).forEach(change => {
            this.#onChange(change);
          });
        },
        changed: change => {
          this.#onChange(change);
        },
        ended: () => {
          this.#draw = null;
          this.#lose();
        }
      },
      signal
    );
  }

  #lose(): void {
    if (this.#signal?.aborted) {
      return;
    }
    this.#become('lost');
    const wait = Math.min(RETRY_MS[1], RETRY_MS[0] * 2 ** this.#failures++);
    this.#later(() => void this.#connect(), wait);
  }

  #become(connection: PanelConnection): void {
    this.connection = connection;
    this.#view.change();
  }

  #onChange(change: api.Change): void {
    if (change === 'tools' || change === 'sessions' || change === 'upstreams') {
      this.#view.changeCatalogs();
    }
    switch (change) {
      case 'tools':
      case 'sessions':
        this.#requests.send('kernels', async () => {
          this.#view.know({ kernels: await this.#source.kernels() });
          this.askForHandles();
          this.askForTools();
          await this.#askForStatus();
        });
        this.#askForPermissions();
        break;
      case 'handles':
        this.askForHandles();
        break;
      case 'hosts':
        this.#requests.send('hosts', () => this.#askForStatus());
        break;
      case 'executions':
        this.#requests.send('executions', async () => {
          const runs = await this.#source.executions();
          this.#view.know({ runs });
          this.#view.takeRuns(runs);
          await this.#askForStatus();
          await this.#view.refreshRun();
        });
        break;
      case 'approvals':
        this.#requests.send('approvals', async () => {
          const questions = await this.#source.approvals();
          this.#view.know({ questions });
          this.#view.takeQuestions(questions);
        });
        this.#askForPermissions();
        break;
      case 'upstreams':
        this.#askForPermissions();
        this.#requests.send('upstreams', async () => {
          this.#view.know({ servers: await this.#source.upstreams() });
          this.askForOffered();
        });
        break;
    }
  }

  #askForPermissions(): void {
    this.#requests.send('permissions', async () => {
      this.#view.know({ permissions: await this.#source.permissions() });
    });
  }

  async #askForStatus(): Promise<void> {
    this.status = await this.#source.status();
    this.#view.change();
  }

  async #askForTools(): Promise<void> {
    if (this.#view.isShown()) {
      await this.#lists.ofKernels(this.#kernels, this.#view.data().tools, tools => {
        this.#view.know({ tools });
      });
    }
  }

  async #askForOffered(): Promise<void> {
    if (this.#view.isShown() && this.connection === 'ready') {
      const isSearched = wordsOf(this.#view.query()).length > 0;
      await this.#lists.ofServers(
        this.#view.data().servers ?? [],
        name => isSearched || this.#view.isOpen(serverKey(name)),
        this.#view.data().offered,
        offered => {
          this.#view.know({ offered });
        }
      );
    }
  }

  async #askForPast(): Promise<void> {
    let past: readonly api.ExecutionState[] = [];
    if (wordsOf(this.#view.query()).length > 0 && this.connection === 'ready') {
      try {
        past = await this.#source.history(this.#view.query());
      } catch {
        // The history cannot be read: the search finds what is in memory.
      }
    }
    if (past.length > 0 || this.#view.data().past.length > 0) {
      this.#view.know({ past });
    }
  }
}
