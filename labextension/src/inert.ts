/**
 * A stranger's text, as it may be shown: short, and without characters that move, hide or turn what stands around them.
 *
 * Markup needs no care here, because everything is shown as text.
 */

/** Characters shown at most, unless a caller says otherwise. */
export const MOST = 10_000;

// ANSI's sequences; then control characters but tab and line end, and those that set a direction or are invisible.
// eslint-disable-next-line no-control-regex
const ANSI = /\u001b\[[0-9;:?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/g;
// eslint-disable-next-line no-control-regex
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** Make a text inert; what is beyond `most` characters is left out, and an ellipsis says so. */
export function inert(text: string, most: number = MOST): string {
  const kept = text.length > most ? `${text.slice(0, most)}…` : text;
  return kept.replace(/\r\n/g, '\n').replace(ANSI, '').replace(UNSEEN, mark);
}

/** The same, on one line. */
export function inertLine(text: string, most: number = 300): string {
  return inert(text, most).replace(/\s+/g, ' ').trim();
}

function mark(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
