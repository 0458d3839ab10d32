/**
 * Makes untrusted text safe to show: short, and without characters that move, hide or reverse the text around them.
 *
 * Markup is not a concern here, because everything is shown as text.
 */

/** Characters shown at most, unless a caller says otherwise. */
export const MOST = 10_000;

// Colours and cursor moves, which can be removed without hiding text. Other terminal commands stay, because they contain
// text: a reader must see all of a program that runs.
// eslint-disable-next-line no-control-regex
const COLOURS = /\u001b\[[0-9;:?]*[ -/]*[@-~]/g;
// Control characters except tab and line end, characters that set a direction or have no width, and unpaired surrogates.
// They include the joiners of letters and emoji, because names that differ only by a joiner look the same.
const UNSEEN =
  // eslint-disable-next-line no-control-regex, no-misleading-character-class
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;

/** Make a text inert. A text longer than `most` characters is cut, and ends in an ellipsis. */
export function inert(text: string, most: number = MOST): string {
  return marked(text.length > most ? `${text.slice(0, most)}…` : text, COLOURS);
}

/** Make a text inert on which a person decides: nothing is left out. */
export function whole(text: string): string {
  return marked(text, /(?!)/g);
}

function marked(text: string, left: RegExp): string {
  return text.replace(/\r\n/g, '\n').replace(left, '').replace(UNSEEN, mark);
}

/** Make a text inert, and put it on one line. */
export function inertLine(text: string, most: number = 300): string {
  return inert(text, most).replace(/\s+/g, ' ').trim();
}

function mark(character: string): string {
  // By UTF-16 units: in JSON that is the same text.
  return Array.from(
    { length: character.length },
    (_, index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`
  ).join('');
}
