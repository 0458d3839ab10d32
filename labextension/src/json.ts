/** Says why a text is not JSON, in the same words in every browser. */

/** A bracket, a comma or a colon; a text; a number or a word; with the space before it. */
const TOKEN =
  /[ \t\n\r]*(?:([[\]{}:,])|("(?:[ !#-[\]-\u{10ffff}]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*")|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/uy;

type Expected = 'value' | 'value or ]' | 'name' | 'name or }' | ':' | ', or ]' | ', or }' | 'end';

const WORDS: Record<Expected, string> = {
  value: 'a value',
  'value or ]': 'a value or ]',
  name: 'a name in double quotes',
  'name or }': 'a name in double quotes or }',
  ':': ':',
  ', or ]': ', or ]',
  ', or }': ', or }',
  end: 'nothing more'
};

/** What is expected where a text stops being JSON, such as `expected , or } in line 2`; null: it is JSON. */
export function jsonProblem(text: string): string | null {
  const open: ('[' | '{')[] = [];
  let expected: Expected = 'value';
  for (let at = 0; ; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text);
    const next: Expected | null = token && after(expected, token[1] ?? (token[2] === undefined ? '0' : '"'), open);
    if (!next) {
      const place = at + text.slice(at).search(/[^ \t\n\r]|$/);
      return place === text.length && expected === 'end' ? null : described(text, place, expected);
    }
    expected = next;
  }
}

/** The same for a text that has to be an object. */
export function objectProblem(text: string): string | null {
  return /^\s*\{/.test(text) ? jsonProblem(text) : 'expected {';
}

/** What is expected after a token; null: the token is not allowed. `"` is a text, and `0` a number or a word. */
function after(expected: Expected, token: string, open: ('[' | '{')[]): Expected | null {
  const ended = (): Expected => {
    const inside = open.at(-1);
    return inside === '[' ? ', or ]' : inside === '{' ? ', or }' : 'end';
  };
  switch (token) {
    case '{':
    case '[':
      if (expected !== 'value' && expected !== 'value or ]') {
        return null;
      }
      open.push(token);
      return token === '{' ? 'name or }' : 'value or ]';
    case '}':
    case ']':
      if (!expected.endsWith(` or ${token}`)) {
        return null;
      }
      open.pop();
      return ended();
    case ':':
      return expected === ':' ? 'value' : null;
    case ',':
      return expected === ', or ]' ? 'value' : expected === ', or }' ? 'name' : null;
    default:
      if (expected === 'value' || expected === 'value or ]') {
        return ended();
      }
      return token === '"' && (expected === 'name' || expected === 'name or }') ? ':' : null;
  }
}

function described(text: string, at: number, expected: Expected): string {
  const rest = text.slice(at);
  const line = text.slice(0, at).split('\n').length;
  const place = text.trim().includes('\n') ? ` in line ${line}` : '';
  const mayBeText = expected.startsWith('value') || expected.startsWith('name');
  if (mayBeText && rest.startsWith('"')) {
    // It begins, and is not a text: a quotation mark or an escape is missing.
    return `expected " at the end of a text${place}`;
  }
  // At the end, a bracket is missing rather than one more value.
  const closing = rest === '' && expected.startsWith(', or ') ? expected.slice(5) : null;
  return `expected ${closing ?? WORDS[expected]}${place}`;
}
