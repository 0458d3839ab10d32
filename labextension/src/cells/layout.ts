/** Replaces a text by its formatted form: as few characters as possible change, and the cursor stays. */

/** What to replace, so that `before` becomes `after`; null: nothing. */
export function difference(before: string, after: string): { from: number; to: number; insert: string } | null {
  if (before === after) {
    return null;
  }
  let from = 0;
  const shorter = Math.min(before.length, after.length);
  while (from < shorter && before[from] === after[from]) {
    from++;
  }
  let tail = 0;
  while (tail < shorter - from && before[before.length - 1 - tail] === after[after.length - 1 - tail]) {
    tail++;
  }
  return { from, to: before.length - tail, insert: after.slice(from, after.length - tail) };
}

/** The new place of the cursor: the same number of letters and digits are before it, and it touches one if it did. */
export function samePlace(before: string, offset: number, after: string): number {
  const head = before.slice(0, offset);
  const passed = head.match(SOLID)?.length ?? 0;
  const places = [...after.matchAll(SOLID)].map(match => match.index);
  const behind = passed > 0 ? (places[passed - 1] ?? -1) + 1 : 0;
  return SOLID_END.test(head) ? behind : (places[passed] ?? after.length);
}

/** Characters that formatting never adds or removes, unlike spaces, commas, semicolons, quotes and brackets. */
const SOLID = /[\p{L}\p{N}_$]/gu;
const SOLID_END = /[\p{L}\p{N}_$]$/u;
