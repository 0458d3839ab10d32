/**
 * The way to the server's routes `pctx/…`: one typed function a route, and the only place that fetches.
 *
 * It knows the base URL, the token and XSRF (from JupyterLab's server settings), and how errors look. It refuses to know
 * who asks, and why. Field names are those of the wire; see docs/reference/rest.md.
 */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

/** A refused or failed request. `status` is HTTP's; 0: there was no answer. */
export class ApiError extends Error {
  readonly status: number;
  /** Whether it was pctx that said so; else the server has no such extension, or something stands between. */
  readonly isOurs: boolean;

  constructor(message: string, status: number, isOurs: boolean) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.isOurs = isOurs;
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
  if (!response.ok) {
    const message = (answer as { message?: unknown } | null)?.message;
    const isOurs = typeof message === 'string';
    throw new ApiError(isOurs ? message : response.statusText, response.status, isOurs);
  }
  return answer as T;
}

// What the panel shows

/** Who else may see a kernel's tools. */
export type Sharing = 'nobody' | 'agents' | 'everyone';

export interface ToolState {
  /** Its name in its own notebook: `Notebook.loadOrders`. */
  path: string;
  /** Its name for others; null: they never see it. */
  shared_as: string | null;
  signature: string;
  description: string;
  /** Whether it changes something outside; null: that is unknown. */
  effects: boolean | null;
}

export interface KernelState {
  kernel_id: string;
  /** The namespace that others see its tools in. */
  name: string | null;
  /** Its notebook. */
  path: string | null;
  connected: boolean;
  sharing: Sharing;
  tool_count: number;
  /** Changes with its tools. */
  version: string;
  start?: number;
  tools?: ToolState[];
}

export type AskedBy = 'cell' | 'client' | 'agent' | 'notebook';
export type ExecutionStatus = 'running' | 'ok' | 'failed' | 'stopped';

/** An execution, in few words. Times are in seconds, `started_at` since 1970. */
export interface ExecutionState {
  id: string;
  title: string;
  asked_by: AskedBy;
  notebook: string | null;
  kernel_id: string | null;
  state: ExecutionStatus;
  started_at: number;
  duration_s: number | null;
  calls: number;
  failed_calls: number;
  error: string | null;
}

export interface CallRecord {
  call: number;
  tool: string;
  started_s: number;
  ended_s?: number;
  arguments?: string;
  argument_bytes?: number;
  result?: string;
  result_bytes?: number;
  error?: string;
  note?: string;
  decision?: string;
}

/** All that is kept of an execution; see `trace.py`. */
export interface Trace {
  id: string;
  code: string;
  /** `code` is only the beginning. */
  code_cut?: boolean;
  asked_by: AskedBy;
  notebook?: string;
  kernel_id?: string;
  state: ExecutionStatus;
  started_at: number;
  duration_s?: number;
  console?: { at_s: number; stream: 'stdout' | 'stderr'; text: string }[];
  calls?: CallRecord[];
  calls_in_all?: number;
  failed_calls?: number;
  result?: string;
  result_bytes?: number;
  error?: { name: string; message: string; line?: number; column?: number; frame?: string };
}

/** How the engine does; what is in `sandbox` and `checker` is for people. */
export interface EngineStatus {
  version: string;
  sessions: number;
  tools: number;
  executions: number;
  sandbox: Record<string, unknown>;
  checker: Record<string, unknown>;
}

export interface ClientConfig {
  client: string;
  title: string;
  place: string;
  /** Holds the server's token. */
  text: string;
}

/** What may have changed; see `watch.py`. */
export type Change = 'tools' | 'sessions' | 'executions' | 'upstreams' | 'approvals';

export async function kernels(): Promise<KernelState[]> {
  return (await request<{ kernels: KernelState[] }>('api/kernels')).kernels;
}

/** One kernel, with some of its tools: those from number `start` on. */
export function kernel(id: string, start: number): Promise<KernelState> {
  return request<KernelState>(`api/kernels/${encodeURIComponent(id)}?start=${start}`);
}

export function share(id: string, to: Sharing): Promise<KernelState> {
  return request<KernelState>(`api/kernels/${encodeURIComponent(id)}/sharing`, { method: 'PUT', body: { to } });
}

/** The latest first. */
export async function executions(): Promise<ExecutionState[]> {
  return (await request<{ executions: ExecutionState[] }>('api/executions')).executions;
}

export function trace(id: string): Promise<Trace> {
  return request<Trace>(`api/executions/${encodeURIComponent(id)}`);
}

export async function stop(id: string): Promise<void> {
  await request(`api/executions/${encodeURIComponent(id)}/stop`, { method: 'POST' });
}

export function status(): Promise<EngineStatus> {
  return request<EngineStatus>('api/status');
}

export async function clientConfigs(): Promise<ClientConfig[]> {
  return (await request<{ clients: ClientConfig[] }>('api/client-config')).clients;
}

/** Who hears of changes; `ended` is called once, unless `signal` ended it. */
export interface Watcher {
  opened: () => void;
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
      watcher.opened();
    }
  };
  socket.onmessage = event => {
    if (!signal.aborted) {
      watcher.changed((JSON.parse(String(event.data)) as { change: Change }).change);
    }
  };
  socket.onclose = () => {
    signal.removeEventListener('abort', close); // while a server is away, there is a socket for every try
    if (!signal.aborted) {
      watcher.ended();
    }
  };
}

// What editors ask

/** A place in a cell of a kernel's notebook. Offsets are UTF-16 units, as JavaScript and editors count. */
export interface Place {
  source: string;
  offset: number;
  kernel_id: string;
  /** Names of the notebook that may follow `-i`. */
  inputs?: string[];
}

export interface Completed {
  start: number;
  end: number;
  items: { label: string; insertText: string; type: string; documentation: string }[];
}

/** What is known of the text from `start` to `end`; `text` is null: nothing. It ends with `documentation`. */
export interface Explained {
  text: string | null;
  documentation: string;
  start: number;
  end: number;
}

/** The ways to call a function; `signature` and `parameter` are the indices of the current ones. */
export interface ExplainedCall {
  signatures: { text: string; documentation: string; parameters: { text: string; documentation: string }[] }[];
  signature: number;
  parameter: number;
}

/** What is wrong with the text from `from` to `to`; `instead` is what was probably meant, ready to be put there. */
export interface Underlined {
  from: number;
  to: number;
  severity: 'error' | 'warning';
  message: string;
  source: string;
  instead: string | null;
}

/** Complete what is before a place: a name of the program, or an option of the magic line. */
export function complete(place: Place, signal?: AbortSignal): Promise<Completed> {
  return request('api/complete', { body: place, signal });
}

/** Explain what is at a place. */
export function hover(place: Place, signal?: AbortSignal): Promise<Explained> {
  return request('api/hover', { body: place, signal });
}

/** Explain the call around a place. */
export function signature(place: Place, signal?: AbortSignal): Promise<ExplainedCall> {
  return request('api/signature', { body: place, signal });
}

/** Say what is wrong with a cell's program, without running it. */
export function diagnostics(source: string, kernel_id: string, signal?: AbortSignal): Promise<Underlined[]> {
  return request<{ diagnostics: Underlined[] }>('api/diagnostics', { body: { source, kernel_id }, signal }).then(
    answer => answer.diagnostics
  );
}

/** Format a cell's program. `source` is null if it cannot be done; `message` says why. */
export function format(source: string): Promise<{ source: string | null; message: string }> {
  return request('api/format', { body: { source } });
}

/** A call that waits for somebody's consent; see `approvals.py`. */
export interface Question {
  id: string;
  tool: string;
  description: string;
  asked_by: AskedBy;
  /** Where a person can answer it; absent: a server that does not say so asks here. */
  places?: ('jupyterlab' | 'terminal' | 'client')[];
  notebook?: string;
  /** The id of its trace. */
  execution: string;
  /** The program; where `code_cut`, the part around the line that calls. */
  code: string;
  /** The number of the code's first line; absent: 1. */
  first_line?: number;
  code_cut?: boolean;
  /** The line of the program that calls, from 1, as its sandbox says. */
  line?: number;
  /** JSON; the beginning of it where `is_cut`. */
  arguments: string;
  argument_bytes: number;
  is_cut?: boolean;
  /** Seconds until it is denied. */
  left_s?: number;
  /** Whether the tool changes something outside; null: that is unknown; absent: no. */
  effects?: boolean | null;
  /** How long "always" lasts: until the tool changes, or (absent, too) until the notebook's kernel or the server ends. */
  lasts?: 'session' | 'tool';
}

/** The calls that wait, and that can be answered here. */
export async function approvals(): Promise<Question[]> {
  const all = (await request<{ approvals: Question[] }>('api/approvals')).approvals;
  return all.filter(question => question.places?.includes('jupyterlab') ?? true);
}

/**
 * Consent to a call, or deny it.
 *
 * @param args JSON to pass in place of the program's arguments; null: those.
 * @param always Allow this tool to the same askers, for as long as `lasts` of the question says.
 */
export async function answer(
  id: string,
  decision: 'allow' | 'deny',
  args: string | null = null,
  always = false
): Promise<void> {
  const edited = args === null ? '' : `,"arguments":${args}`;
  const json = `{"decision":"${decision}","always":${String(always)}${edited}}`;
  await request(`api/approvals/${encodeURIComponent(id)}`, { method: 'POST', json });
}

/** A tool that is not what it was when it was approved: its description then and now, and what differs. */
export interface ChangedTool {
  name: string;
  what: string[];
  was: string;
  now: string;
}

/** An MCP server whose tools programs may call; see `upstreams.py`. */
export interface Upstream {
  name: string;
  /** Of its tools, in programs. */
  namespace: string;
  transport: 'stdio' | 'http' | 'sse';
  /** Its command, or its URL. */
  where: string;
  state: 'connecting' | 'ready' | 'down' | 'needs sign-in' | 'untrusted';
  source?: string | null;
  error?: string | null;
  tools?: number;
  new?: string[];
  changed?: ChangedTool[];
  withheld?: string[];
  /** Tools that a person has allowed for good. */
  allowed?: string[];
  problems?: string[];
  /** Changes with whatever is approved or trusted. */
  mark?: string;
  /** Changes with the tools that can be called. */
  version?: number;
}

/** One tool of an MCP server; `name` is what the server calls it, and so do `new`, `changed` and `withheld`. */
export interface UpstreamTool extends ToolState {
  name: string;
}

export interface UpstreamTools {
  version: number;
  tool_count: number;
  tools: UpstreamTool[];
}

export async function upstreams(): Promise<Upstream[]> {
  return (await request<{ upstreams: Upstream[] }>('api/upstreams')).upstreams;
}

/** Some of the tools of a server: those from number `start` on. */
export function upstream(name: string, start: number): Promise<UpstreamTools> {
  return request<UpstreamTools>(`api/upstreams/${encodeURIComponent(name)}?start=${start}`);
}

/** How to reach a server that is added. */
export type UpstreamEntry = { name: string; url: string } | { name: string; command: string; args: string[] };

/** Add a server; `persist`: for later, too. */
export function addUpstream(server: UpstreamEntry, persist: boolean): Promise<Upstream> {
  return request<Upstream>('api/upstreams', { body: { server, persist } });
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

/** Take back what a person has allowed for good: for one tool, or for all of a server. */
export function askAgain(name: string, tool?: string): Promise<Upstream> {
  const query = tool === undefined ? '' : `?tool=${encodeURIComponent(tool)}`;
  return request<Upstream>(`api/upstreams/${encodeURIComponent(name)}/allowed${query}`, { method: 'DELETE' });
}

/** Where a person signs in to an MCP server, which chose the page; see `SignIn` in `upstreams.py`. */
export interface SignIn {
  url: string;
  host: string;
  /** The host that is given what the page answers, where it is another one. */
  gets_code?: string;
}

/** Begin to sign in to a server. */
export function signIn(name: string): Promise<SignIn> {
  return request<SignIn>(`api/upstreams/${encodeURIComponent(name)}/sign-in`, { method: 'POST' });
}
