/**
 * Makes the fields of a form from a JSON Schema and the arguments that a person reads, and writes what they fill in.
 *
 * The value of a field is JSON text, because numbers may be larger than JavaScript's. Pure functions. What a form cannot show
 * exactly is a field of JSON, so that nothing that a call passes is hidden. The server checks values: this module does not.
 */

import { inertLine, whole } from '../inert';

/** `choices`: several of a list; `json`: whatever the other kinds cannot show. */
export type ControlKind = 'text' | 'lines' | 'number' | 'yes' | 'choice' | 'choices' | 'json';

/** One value to choose; `json` is what is passed. */
export interface FieldChoice {
  readonly json: string;
  readonly label: string;
}

export interface FormField {
  readonly name: string;
  readonly kind: ControlKind;
  readonly label: string;
  readonly description: string;
  readonly isRequired: boolean;
  readonly choices: readonly FieldChoice[];
  /** What the tool uses if the field is left out, as JSON; null: that is not declared. */
  readonly fallback: string | null;
  /** Whether an empty field passes null. */
  readonly takesNull: boolean;
}

/** The members of a JSON object: JSON text by name, in the order of the text. */
export type Members = ReadonlyMap<string, string>;

/** Fields of a form: more are edited as JSON. */
const MOST_FIELDS = 50;
const MOST_CHOICES = 100;
/** Characters of a text that is edited in one line. */
const LONG_TEXT = 60;

type JsonSchemaPart = Record<string, unknown>;

/** The fields of a form; null: there is no form for them. `members` are the arguments before anything is edited. */
export function fieldsOf(schema: unknown, members: Members): FormField[] | null {
  if (!isObject(schema) || !isObject(schema.properties)) {
    return null;
  }
  const properties = Object.entries(schema.properties);
  const names = new Set([...properties.map(([name]) => name), ...members.keys()]);
  if (names.size > MOST_FIELDS) {
    return null;
  }
  const required = new Set(Array.isArray(schema.required) ? schema.required : []);
  const known = new Map(properties);
  return [...names].map(name => fieldOf(name, known.get(name), schema, required.has(name), members.get(name)));
}

function fieldOf(name: string, declared: unknown, root: JsonSchemaPart, isRequired: boolean, json?: string): FormField {
  const named = isObject(declared) ? declared : {};
  const resolved = resolve(named, root);
  const { schema, takesNull } = withoutNull(resolved, root);
  const title = textOf(named.title) || textOf(schema.title);
  const fallback = named.default ?? resolved.default;
  const field = {
    name,
    label: inertLine(title && title !== titleOf(name) ? `${title} (${name})` : name, 120),
    description: inertLine(textOf(named.description) || textOf(schema.description), 500),
    isRequired,
    choices: [] as readonly FieldChoice[],
    fallback: fallback === undefined || fallback === null ? null : inertLine(JSON.stringify(fallback), 60),
    takesNull
  };
  // Where null is no value of a field, it has to be seen.
  return { ...field, ...(json === 'null' && !takesNull ? JSON_CONTROL : control(schema, json)) };
}

type Control = Pick<FormField, 'kind' | 'choices'>;

const JSON_CONTROL: Control = { kind: 'json', choices: [] };

/** How a field is edited. A value that does not suit a control is edited as JSON. */
function control(schema: JsonSchemaPart, json: string | undefined): Control {
  const kept = json === undefined ? undefined : parsed(json);
  const isEmpty = kept === undefined || kept === null;
  const choices = choicesOf(schema);
  if (choices !== null) {
    return choices.length > 0 && choices.length <= MOST_CHOICES ? { kind: 'choice', choices } : JSON_CONTROL;
  }
  switch (schema.type) {
    case 'string': {
      if (!isEmpty && (typeof kept !== 'string' || whole(kept) !== kept || kept.includes('\r'))) {
        return JSON_CONTROL; // characters that hide or reverse others are read as escapes
      }
      const isLong = typeof kept === 'string' && (kept.includes('\n') || kept.length > LONG_TEXT);
      return { kind: isLong ? 'lines' : 'text', choices: [] };
    }
    case 'integer':
    case 'number':
      return isEmpty || typeof kept === 'number' ? { kind: 'number', choices: [] } : JSON_CONTROL;
    case 'boolean': {
      const yes = { json: 'true', label: 'true' };
      const no = { json: 'false', label: 'false' };
      if (!isEmpty && typeof kept !== 'boolean') {
        return JSON_CONTROL;
      }
      // A checkbox cannot say that nothing is passed.
      return isEmpty ? { kind: 'choice', choices: [yes, no] } : { kind: 'yes', choices: [] };
    }
    case 'array': {
      const items = isObject(schema.items) ? choicesOf(schema.items) : null;
      if (!items || items.length === 0 || items.length > MOST_CHOICES) {
        return JSON_CONTROL;
      }
      const values: unknown[] | null = isEmpty ? [] : Array.isArray(kept) ? kept : null;
      const isShown =
        values !== null &&
        new Set(values).size === values.length &&
        values.every(one => items.some(choice => choice.json === JSON.stringify(one)));
      return isShown ? { kind: 'choices', choices: items } : JSON_CONTROL;
    }
    default:
      return JSON_CONTROL;
  }
}

/** The values of which one has to be taken; null: there are others. Empty: they cannot be shown. */
function choicesOf(schema: JsonSchemaPart): FieldChoice[] | null {
  const titles = Array.isArray(schema.enumNames) ? schema.enumNames : [];
  let pairs: [unknown, unknown][] | null = null;
  if (Array.isArray(schema.enum)) {
    pairs = schema.enum.map((value: unknown, index) => [value, titles[index]]);
  } else {
    const options = schema.oneOf ?? schema.anyOf;
    if (Array.isArray(options) && options.length > 0 && options.every(one => isObject(one) && 'const' in one)) {
      pairs = options.map((one: JsonSchemaPart) => [one.const, one.title]);
    }
  }
  if (pairs === null) {
    return null;
  }
  const isShown = pairs.every(
    ([value]) =>
      (typeof value === 'string' && whole(value) === value) ||
      (typeof value === 'number' && (!Number.isInteger(value) || Number.isSafeInteger(value))) ||
      typeof value === 'boolean'
  );
  return !isShown
    ? []
    : pairs.map(([value, title]) => {
        const text = typeof value === 'string' ? value : JSON.stringify(value);
        const label = typeof title === 'string' && title !== text ? `${title} (${text})` : text;
        return { json: JSON.stringify(value), label: inertLine(label, 120) };
      });
}

/** Follow a reference to a part of the same schema. */
function resolve(schema: JsonSchemaPart, root: JsonSchemaPart, steps = 10): JsonSchemaPart {
  const all = Array.isArray(schema.allOf) && schema.allOf.length === 1 ? (schema.allOf[0] as unknown) : undefined;
  const reference = schema.$ref ?? (isObject(all) ? all.$ref : undefined);
  if (typeof reference !== 'string' || !reference.startsWith('#/') || steps === 0) {
    return schema;
  }
  let found: unknown = root;
  for (const step of reference.slice(2).split('/')) {
    found = isObject(found) ? found[step.replace(/~1/g, '/').replace(/~0/g, '~')] : undefined;
  }
  const own = Object.entries(schema).filter(([key]) => key !== '$ref' && key !== 'allOf');
  return isObject(found) ? { ...resolve(found, root, steps - 1), ...Object.fromEntries(own) } : schema;
}

/** A schema without its alternative null: an argument that may be None. */
function withoutNull(schema: JsonSchemaPart, root: JsonSchemaPart): { schema: JsonSchemaPart; takesNull: boolean } {
  if (Array.isArray(schema.type)) {
    const types = schema.type.filter(type => type !== 'null');
    const type: unknown = types.length === 1 ? types[0] : types;
    return { schema: { ...schema, type }, takesNull: types.length < schema.type.length };
  }
  const options = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(options)) {
    const others = options.filter(one => !isObject(one) || one.type !== 'null');
    const [only] = others as unknown[];
    if (others.length < options.length && others.length === 1 && isObject(only)) {
      return { schema: resolve(only, root), takesNull: true };
    }
  }
  return { schema, takesNull: false };
}

// Arguments as members

/** Split a JSON object into the texts of its members; null: it is none, or has a name twice. */
export function membersOf(text: string): Members | null {
  if (!isObject(parsed(text))) {
    return null;
  }
  // It is valid JSON, so that strings, brackets and commas are enough to find the members.
  const members = new Map<string, string>();
  const parts = /"(?:[^"\\]|\\.)*"|[[\]{}:,]/g;
  const opened = text.indexOf('{') + 1;
  parts.lastIndex = opened;
  let depth = 0;
  let begin = opened;
  let name: string | null = null;
  for (let found = parts.exec(text); found; found = parts.exec(text)) {
    const [part] = found;
    if (depth === 0 && part === ':') {
      name = String(JSON.parse(text.slice(begin, found.index)));
      begin = parts.lastIndex;
    } else if (depth === 0 && (part === ',' || part === '}')) {
      if (name !== null) {
        if (members.has(name)) {
          return null;
        }
        members.set(name, text.slice(begin, found.index).trim());
      }
      name = null;
      begin = parts.lastIndex;
      if (part === '}') {
        break;
      }
    } else if (part === '{' || part === '[') {
      depth++;
    } else if (part === '}' || part === ']') {
      depth--;
    }
  }
  return members;
}

/** Write members as JSON, one a line. It is invalid where a member is. */
export function joined(members: Members): string {
  const lines = [...members].map(([name, json]) => `  ${whole(JSON.stringify(name))}: ${json}`);
  return lines.length === 0 ? '{}' : `{\n${lines.join(',\n')}\n}`;
}

/** The JSON of a text that is put into a field; null: the field is left out. */
export function jsonOf(field: FormField, text: string): string | null {
  switch (field.kind) {
    case 'number': {
      const trimmed = text.trim();
      // What is no number stays a text: the check then says that it has to be one.
      return trimmed === ''
        ? emptyOf(field)
        : /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(trimmed) && parsed(trimmed) !== undefined
          ? trimmed
          : JSON.stringify(trimmed);
    }
    case 'text':
    case 'lines':
      return text === '' && !field.isRequired ? emptyOf(field) : whole(JSON.stringify(text));
    case 'json':
      return text.trim() === '' ? emptyOf(field) : text.replace(/\n/g, '\n  ');
    default:
      return text === '' ? emptyOf(field) : text;
  }
}

/** The text of a field with a value; without a value, and with null, it is empty. */
export function shownIn(field: FormField, json: string | undefined): string {
  if (json === undefined || (json === 'null' && field.kind !== 'json')) {
    return '';
  }
  if (field.kind === 'text' || field.kind === 'lines' || field.kind === 'number') {
    const value = parsed(json);
    return typeof value === 'string' ? value : json;
  }
  // Without the indentation of a member. A line end in JSON is never a part of a text.
  return field.kind === 'json' ? json.replace(/\n {2}/g, '\n') : json;
}

function emptyOf(field: FormField): string | null {
  return field.isRequired && field.takesNull ? 'null' : null;
}

/** What JSON means; undefined: it is not valid. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is JsonSchemaPart {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** The title that libraries make of a name: `max_items` has `Max Items`. */
function titleOf(name: string): string {
  return name.replace(/_/g, ' ').replace(/(^| )\w/g, letter => letter.toUpperCase());
}
