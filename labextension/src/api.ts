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
  const init: RequestInit = { method: options.method ?? (options.body === undefined ? 'GET' : 'POST') };
  if (options.body !== undefined) {
    init.body = JSON.stringify(options.body);
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
