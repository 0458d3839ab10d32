/**
 * The way to the server's routes `pctx/…`: one typed function a route, and the only place that fetches.
 *
 * It knows the base URL, the token and XSRF (from JupyterLab's server settings), and how errors look. It refuses to know
 * who asks, and why. The types of what is sent are those of `wire.ts`, which is written from the server's own.
 */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type {
  ArgumentProblem,
  AskedOfPlace,
  Changed,
  CheckedArguments,
  ClientConfig,
  ClientConfigs,
  Completed,
  Diagnosed,
  EngineStatus,
  Executions,
  ExecutionState,
  Explained,
  ExplainedCall,
  Formatted,
  HeldHandles,
  Kernels,
  KernelState,
  Listed,
  PastRuns,
  Permission,
  Permissions,
  Question,
  Questions,
  SignIn,
  Trace,
  Underlined,
  Upstream,
  UpstreamTools
} from './wire';

export type * from './wire';

/** A refused or failed request. `status` is HTTP's; 0: there was no answer. */
export class ApiError extends Error {
  readonly status: number;
  /** Whether it was pctx that said so; else the server has no such extension, or something stands between. */
  readonly isOurs: boolean;
  /** The arguments that the server refuses, each with the reason. */
  readonly problems: readonly ArgumentProblem[];

  constructor(message: string, status: number, isOurs: boolean, problems: readonly ArgumentProblem[] = []) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.isOurs = isOurs;
    this.problems = problems;
  }
}

/** What is sent along with a request. */
export interface Options {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is, in place of `body`: JSON whose numbers may be larger than ours. */
  json?: string;
  /** Ends the request: the promise is then rejected with an `AbortError`. */
  signal?: AbortSignal;
}

/**
 * Ask one route of the server.
 *
 * @param path Below `pctx/`, each part already escaped: `api/kernels/1234`.
 * @returns The answer, decoded; whoever names `T` answers for it.
 * @throws ApiError The server refuses, or is not there.
 */
export async function request<T>(path: string, options: Options = {}): Promise<T> {
  const settings = ServerConnection.makeSettings();
  const url = URLExt.join(settings.baseUrl, 'pctx', path);
  const init: RequestInit = { method: options.method ?? 'GET' };
  if (options.json !== undefined || options.body !== undefined) {
    init.method = options.method ?? 'POST';
    init.body = options.json ?? JSON.stringify(options.body);
  }
  if (options.signal) {
    init.signal = options.signal;
  }
  let response: Response;
  try {
    response = await ServerConnection.makeRequest(url, init, settings);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw new ApiError(`Cannot reach the server: ${String(error)}`, 0, false);
  }
  const text = await response.text();
  options.signal?.throwIfAborted();
  let answer: unknown;
  try {
    answer = text === '' ? null : JSON.parse(text);
  } catch {
    throw new ApiError('The server answers with something else than JSON', response.status, false);
  }
  const { refused, message, problems } = (answer ?? {}) as {
    refused?: unknown;
    message?: unknown;
    problems?: ArgumentProblem[];
  };
  if (!response.ok || typeof refused === 'number') {
    const isOurs = typeof message === 'string';
    const status = typeof refused === 'number' ? refused : response.status;
    throw new ApiError(isOurs ? message : response.statusText, status, isOurs, isOurs ? problems : []);
  }
  return answer as T;
}

// What the panel shows

/** Who else may see a kernel's tools. */
export type Sharing = KernelState['sharing'];

/** Whose programs run. */
export type AskedBy = ExecutionState['asked_by'];

/** `stopped`: somebody or a limit ended it before it was done. */
export type ExecutionStatus = ExecutionState['state'];

/** What may have changed; see `watch.py`. */
export type Change = Changed['change'];

export async function kernels(): Promise<KernelState[]> {
  return (await request<Kernels>('api/kernels')).kernels;
}

/** One kernel, with some of its tools: those from number `start` on. */
export function kernel(id: string, start: number): Promise<KernelState> {
  return request<KernelState>(`api/kernels/${encodeURIComponent(id)}?start=${start}`);
}

export function share(id: string, to: Sharing): Promise<KernelState> {
  return request<KernelState>(`api/kernels/${encodeURIComponent(id)}/sharing`, { method: 'PUT', body: { to } });
}

/** The objects that a kernel holds for programs. */
export function handles(id: string): Promise<HeldHandles> {
  return request<HeldHandles>(`api/kernels/${encodeURIComponent(id)}/handles`);
}

/** Make a kernel forget an object that outlives its program. */
export async function forgetHandle(kernel: string, id: string): Promise<void> {
  const path = `api/kernels/${encodeURIComponent(kernel)}/handles/${encodeURIComponent(id)}`;
  await request(path, { method: 'DELETE' });
}

/** The latest first. */
export async function executions(): Promise<ExecutionState[]> {
  return (await request<Executions>('api/executions')).executions;
}

/** Executions of earlier days too that have all words of a text, the latest first. */
export async function history(text: string): Promise<ExecutionState[]> {
  const { runs } = await request<PastRuns>(`api/history?text=${encodeURIComponent(text)}`);
  return runs.map(run => ({ ...run, kernel_id: null }));
}

export function trace(id: string): Promise<Trace> {
  return request<Trace>(`api/executions/${encodeURIComponent(id)}`);
}

/** Stop a program. One that has ended in the meantime needs no stop, so that is no error. */
export async function stop(id: string): Promise<void> {
  try {
    await request(`api/executions/${encodeURIComponent(id)}/stop`, { method: 'POST' });
  } catch (error) {
    if (!(error instanceof ApiError && error.isOurs && error.status === 404)) {
      throw error;
    }
  }
}

export function status(): Promise<EngineStatus> {
  return request<EngineStatus>('api/status');
}

export async function clientConfigs(): Promise<ClientConfig[]> {
  return (await request<ClientConfigs>('api/client-config')).clients;
}

/** Functions that are called on changes; `ended` is called once, unless `signal` ended the watch. */
export interface Watcher {
  /** Gets the function that reports for which kernels this page shows the programs of others. */
  opened: (draw: (kernels: readonly string[]) => void) => void;
  changed: (change: Change) => void;
  ended: () => void;
}

/** Listen to what changes on the server, until `signal` aborts or the connection ends. */
export function watch(watcher: Watcher, signal: AbortSignal): void {
  const settings = ServerConnection.makeSettings();
  const query = settings.appendToken && settings.token ? `?token=${encodeURIComponent(settings.token)}` : '';
  const socket = new settings.WebSocket(URLExt.join(settings.wsUrl, 'pctx/api/changes') + query);
  const close = (): void => {
    socket.close();
  };
  signal.addEventListener('abort', close);
  socket.onopen = () => {
    if (!signal.aborted) {
      watcher.opened(drawn => {
        if (socket.readyState === WebSocket.OPEN) {
          socket.send(JSON.stringify({ drawn }));
        }
      });
    }
  };
  socket.onmessage = event => {
    if (!signal.aborted) {
      watcher.changed((JSON.parse(String(event.data)) as Changed).change);
    }
  };
  socket.onclose = () => {
    signal.removeEventListener('abort', close); // while a server is away, there is a socket for every try
    if (!signal.aborted) {
      watcher.ended();
    }
  };
}

// What editors ask. Their requests are quiet: the answer that there is no help now is no error to the browser's console.

/** A place in a cell of a kernel's notebook. Offsets are UTF-16 units, as JavaScript and editors count. */
export type CellPlace = AskedOfPlace & { kernel_id: string };

/** Complete what is before a place: a name of the program, or an option of the magic line. */
export function complete(place: CellPlace, signal?: AbortSignal): Promise<Completed> {
  return request('api/complete?quiet=1', { body: place, signal });
}

/** Explain what is at a place. */
export function hover(place: CellPlace, signal?: AbortSignal): Promise<Explained> {
  return request('api/hover?quiet=1', { body: place, signal });
}

/** Explain the call around a place. */
export function signature(place: CellPlace, signal?: AbortSignal): Promise<ExplainedCall> {
  return request('api/signature?quiet=1', { body: place, signal });
}

/** Say what is wrong with a cell's program, without running it. */
export function diagnostics(source: string, kernel_id: string, signal?: AbortSignal): Promise<Underlined[]> {
  return request<Diagnosed>('api/diagnostics?quiet=1', { body: { source, kernel_id }, signal }).then(
    answer => answer.diagnostics
  );
}

/** Format a cell's program. `source` is null if it cannot be done; `message` says why. */
export function format(source: string): Promise<Formatted> {
  return request('api/format', { body: { source } });
}

/** The calls that wait, and that can be answered here. */
export async function approvals(): Promise<Question[]> {
  const all = (await request<Questions>('api/approvals')).approvals;
  return all.filter(question => question.places?.includes('jupyterlab') ?? true);
}

/** How long a consent lasts. */
export type ConsentSpan = 'once' | 'program' | 'always';

/**
 * Consent to a call, or deny it.
 *
 * @param args JSON to pass in place of the program's arguments; null: the program's own.
 * @param howLong With `program`, this tool is allowed until the program ends. With `always`, it is allowed to the same
 *   askers, for as long as `lasts` of the question says.
 */
export async function answer(
  id: string,
  decision: 'allow' | 'deny',
  args: string | null = null,
  howLong: ConsentSpan = 'once'
): Promise<void> {
  const edited = args === null ? '' : `,"arguments":${args}`;
  const span = `"always":${String(howLong === 'always')},"for_program":${String(howLong === 'program')}`;
  const json = `{"decision":"${decision}",${span}${edited}}`;
  await request(`api/approvals/${encodeURIComponent(id)}`, { method: 'POST', json });
}

/**
 * Find what is wrong with arguments that a person wants to pass in place of a program's.
 *
 * @param args JSON; null: the draft of an answer to a form.
 */
export async function checkArguments(id: string, args: string | null): Promise<ArgumentProblem[]> {
  const path = `api/approvals/${encodeURIComponent(id)}/check`;
  const json = args === null ? '{}' : `{"arguments":${args}}`;
  return (await request<CheckedArguments>(path, { method: 'POST', json })).problems;
}

/** The tools that are allowed without asking. */
export async function permissions(): Promise<Permission[]> {
  return (await request<Permissions>('api/permissions')).permissions;
}

/** Take a permission back: the next call of its tool waits for a person. */
export async function revoke(id: string): Promise<void> {
  await request(`api/permissions/${encodeURIComponent(id)}`, { method: 'DELETE' });
}

export async function upstreams(): Promise<Upstream[]> {
  return (await request<Listed>('api/upstreams')).upstreams;
}

/** Some of the tools of a server: those from number `start` on. */
export function upstream(name: string, start: number): Promise<UpstreamTools> {
  return request<UpstreamTools>(`api/upstreams/${encodeURIComponent(name)}?start=${start}`);
}

/** How to reach a server that is added: an entry as in `pctx.json`, or in another client's words. */
export type UpstreamEntry = { name: string } & Record<string, unknown>;

/** Add a server; `persist`: for later, too. */
export function addUpstream(server: UpstreamEntry, persist: boolean): Promise<Upstream> {
  return request<Upstream>('api/upstreams', { body: { server, persist } });
}

/** Connect to a server once, without adding it. */
export function testUpstream(server: UpstreamEntry): Promise<Upstream> {
  return request<Upstream>('api/upstream-test', { body: { server } });
}

export async function removeUpstream(name: string): Promise<void> {
  await request(`api/upstreams/${encodeURIComponent(name)}`, { method: 'DELETE' });
}

/** Connect again; or take its tools, or what its file says of it, as a person has `seen` them (its `mark`). */
export function tellUpstream(
  name: string,
  what: 'reconnect' | 'approve' | 'trust',
  seen: string | undefined
): Promise<Upstream> {
  const path = `api/upstreams/${encodeURIComponent(name)}/${what}`;
  return request<Upstream>(path, what === 'reconnect' ? { method: 'POST' } : { body: { seen } });
}

/** Allow all tools of a server for good, as a person has `seen` it (its `mark`); it is trusted then, too. */
export function allowTools(name: string, seen: string | undefined): Promise<Upstream> {
  return request<Upstream>(`api/upstreams/${encodeURIComponent(name)}/trust`, { body: { seen, tools: true } });
}

/** Take back permissions to call tools without asking: for one tool, or for all of a server. */
export function askAgain(name: string, tool?: string): Promise<Upstream> {
  const query = tool === undefined ? '' : `?tool=${encodeURIComponent(tool)}`;
  return request<Upstream>(`api/upstreams/${encodeURIComponent(name)}/allowed${query}`, { method: 'DELETE' });
}

/** Begin to sign in to a server. */
export function signIn(name: string): Promise<SignIn> {
  return request<SignIn>(`api/upstreams/${encodeURIComponent(name)}/sign-in`, { method: 'POST' });
}
