/** A value that is loaded later. */
export type Loading<T> = { status: 'pending' } | { status: 'ready'; value: T } | { status: 'failed'; error: Error };

export const PENDING = { status: 'pending' } as const;

export function ready<T>(value: T): Loading<T> {
  return { status: 'ready', value };
}

export function failed(error: unknown): Loading<never> {
  return { status: 'failed', error: error instanceof Error ? error : new Error(String(error)) };
}
