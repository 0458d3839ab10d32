/** Numbers as people read them. */

/** Seconds: `12 ms`, `1.4 s`, `2 min 5 s`. */
export function duration(seconds: number): string {
  if (seconds < 1) {
    return `${Math.round(seconds * 1000)} ms`;
  }
  if (seconds < 60) {
    return `${seconds.toFixed(1)} s`;
  }
  return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

/** Bytes: `12 B`, `3.4 kB`, `2.0 MB`. */
export function size(bytes: number): string {
  if (bytes < 1000) {
    return `${bytes} B`;
  }
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** The time of day of seconds since 1970, as people here write it. */
export function time(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString();
}

/** The hour and minute of seconds since 1970. */
export function minute(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}
