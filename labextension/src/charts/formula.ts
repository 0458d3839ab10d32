/**
 * Parses Vega's expressions with a small grammar and writes them again: `pctx_jupyter/kernel/output/formulas.py` explains it.
 * A test compares both implementations. Nothing here evaluates an expression.
 */

/** What a function's arguments must be: anything, a format that is written out, a length that is, or texts. */
export type ArgumentRule = 'plain' | 'format' | 'length' | 'text';

/** The names that an expression may use; `parameters` are the chart's own, whose members may be read. */
export interface Vocabulary {
  functions: ReadonlyMap<string, ArgumentRule>;
  constants: ReadonlySet<string>;
  parameters: ReadonlySet<string>;
  format: RegExp;
}

/** Limits of one expression: characters, names and literals and operators, levels, characters that `pad` makes. */
const MOST_CHARS = 4_000;
const MOST_TOKENS = 500;
const MOST_DEPTH = 40;
const MOST_PADDED = 100;

/** Members that every value has in JavaScript. They lead from data to functions. */
export const INHERITED: ReadonlySet<string> = new Set([
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'toLocaleString',
  'valueOf',
  'hasOwnProperty',
  'isPrototypeOf',
  'propertyIsEnumerable',
  '__defineGetter__',
  '__defineSetter__',
  '__lookupGetter__',
  '__lookupSetter__'
]);

/** Operators that join two operands, those that bind least first. */
const LEVELS: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['|'],
  ['^'],
  ['&'],
  ['===', '!==', '==', '!='],
  ['<=', '>=', '<', '>'],
  ['<<', '>>>', '>>'],
  ['+', '-'],
  ['*', '/', '%']
];

const BLANK = /[ \t\r\n]*/y;
const TOKENS = [
  ['number', /(?:(?:0|[1-9][0-9]{0,20})(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?(?![0-9A-Za-z_$.])/uy],
  ['name', /[A-Za-z_$\u0080-\u{10ffff}][A-Za-z0-9_$\u0080-\u{10ffff}]*/uy],
  ['string', /"(?:[^"\\\r\n]|\\[^\r\n])*"|'(?:[^'\\\r\n]|\\[^\r\n])*'/uy],
  ['operator', /===|!==|>>>|\|\||&&|==|!=|<=|>=|<<|>>|[-+*/%<>!~?:&|^.,()[\]]/uy]
] as const;
const ESCAPE = /\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|([^]))/gu;
const ESCAPED = new Map([
  ['n', '\n'],
  ['t', '\t'],
  ['r', '\r'],
  ['b', '\b'],
  ['f', '\f'],
  ['v', '\v']
]);
const PLAIN_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const INDEX = /^(?:0|[1-9][0-9]{0,8})$/;
const LENGTH = /^[0-9]{1,3}$/;

/** An expression is not in the grammar; the message names the part. */
export class NotInGrammar extends Error {}

/** Read an expression and write it again from what was read; throws `NotInGrammar`. */
export function rewritten(source: string, vocabulary: Vocabulary): string {
  const reader = new FormulaReader(source, vocabulary);
  const found = reader.condition();
  reader.end();
  return found.text;
}

/** Write a text as a literal with ASCII characters only. */
function quoted(text: string): string {
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, one =>
    one === '\u007f' ? one : `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`
  );
}

/** A part of an expression, as it is written; `path` may be followed by names, what is `joined` needs brackets. */
interface FormulaPart {
  text: string;
  kind: 'path' | 'string' | 'number' | 'whole' | 'joined';
  value?: string;
}

type TokenKind = (typeof TOKENS)[number][0] | 'end';

class FormulaReader {
  readonly #source: string;
  readonly #vocabulary: Vocabulary;
  #at = 0;
  #count = 0;
  #depth = 0;
  #kind: TokenKind = 'end';
  #text = '';

  constructor(source: string, vocabulary: Vocabulary) {
    if (length(source) > MOST_CHARS) {
      throw new NotInGrammar('it is longer than 4,000 characters');
    }
    this.#source = source;
    this.#vocabulary = vocabulary;
    this.#advance();
  }

  condition(): FormulaPart {
    this.#enter();
    let found = this.#joined(0);
    if (this.#take('?')) {
      const yes = this.condition();
      this.#expect(':');
      const no = this.condition();
      found = { text: `${inner(found)} ? ${inner(yes)} : ${inner(no)}`, kind: 'joined' };
    }
    this.#depth -= 1;
    return found;
  }

  end(): void {
    if (this.#kind !== 'end') {
      throw new NotInGrammar(`${shown(this.#text)} is not expected there`);
    }
  }

  #joined(level: number): FormulaPart {
    const operators = LEVELS[level];
    if (!operators) {
      return this.#unary();
    }
    let left = this.#joined(level + 1);
    while (this.#kind === 'operator' && operators.includes(this.#text)) {
      const operator = this.#text;
      this.#advance();
      left = { text: `${inner(left)} ${operator} ${inner(this.#joined(level + 1))}`, kind: 'joined' };
    }
    return left;
  }

  #unary(): FormulaPart {
    if (this.#kind !== 'operator' || !['+', '-', '!', '~'].includes(this.#text)) {
      return this.#postfix();
    }
    this.#enter();
    const operator = this.#text;
    this.#advance();
    const found: FormulaPart = { text: `${operator}${inner(this.#unary())}`, kind: 'joined' };
    this.#depth -= 1;
    return found;
  }

  #postfix(): FormulaPart {
    let found = this.#primary();
    for (;;) {
      if (this.#take('.')) {
        const [kind, name] = this.#next();
        if (kind !== 'name') {
          throw new NotInGrammar(`${shown(name)} is no name of a member`);
        }
        found = member(found, name);
      } else if (this.#take('[')) {
        const [kind, index] = this.#next();
        this.#expect(']');
        if (kind === 'string') {
          found = member(found, value(index));
        } else if (kind === 'number' && INDEX.test(index)) {
          found = { text: `${inner(found)}[${index}]`, kind: found.kind === 'path' ? 'path' : 'whole' };
        } else {
          throw new NotInGrammar('a member must be named by a text or a whole number');
        }
      } else {
        return found;
      }
    }
  }

  #primary(): FormulaPart {
    const [kind, text] = this.#next();
    if (kind === 'number') {
      return { text, kind: 'number' };
    }
    if (kind === 'string') {
      return { text: quoted(value(text)), kind: 'string', value: value(text) };
    }
    if (kind === 'name') {
      if (this.#take('(')) {
        return this.#call(text);
      }
      if (text === 'datum' || this.#vocabulary.parameters.has(text)) {
        return { text, kind: 'path' };
      }
      if (this.#vocabulary.constants.has(text)) {
        return { text, kind: 'whole' };
      }
      throw new NotInGrammar(`${shown(text)} is not among the names that it may use`);
    }
    if (kind === 'operator' && text === '(') {
      const found = this.condition();
      this.#expect(')');
      return found;
    }
    if (kind === 'operator' && text === '[') {
      return { text: `[${this.#list(']').map(inner).join(', ')}]`, kind: 'whole' };
    }
    throw new NotInGrammar(kind === 'end' ? 'it ends too early' : `${shown(text)} is not expected there`);
  }

  #call(name: string): FormulaPart {
    const rule = this.#vocabulary.functions.get(name);
    if (rule === undefined) {
      throw new NotInGrammar(`${shown(name)} is not among the functions that it may call`);
    }
    let list = this.#list(')');
    const second = list[1];
    if (rule === 'format' && !(second?.kind === 'string' && this.#vocabulary.format.test(second.value ?? ''))) {
      throw new NotInGrammar(`${shown(name)} must have its format written out`);
    }
    if (rule === 'length') {
      if (second?.kind !== 'number' || !LENGTH.test(second.text)) {
        throw new NotInGrammar(`${shown(name)} must have its length written out`);
      }
      if (Number(second.text) > MOST_PADDED) {
        throw new NotInGrammar(`${shown(name)} would make more than ${MOST_PADDED} characters`);
      }
    }
    if (rule === 'text') {
      list = list.map((part, number) =>
        number === 0 || part.kind === 'string' || part.kind === 'number'
          ? part
          : { text: `"" + ${inner(part)}`, kind: 'joined' }
      );
    }
    return { text: `${name}(${list.map(part => part.text).join(', ')})`, kind: 'whole' };
  }

  #list(end: string): FormulaPart[] {
    const found: FormulaPart[] = [];
    if (this.#take(end)) {
      return found;
    }
    for (;;) {
      found.push(this.condition());
      if (this.#take(end)) {
        return found;
      }
      this.#expect(',');
    }
  }

  #enter(): void {
    this.#depth += 1;
    if (this.#depth > MOST_DEPTH) {
      throw new NotInGrammar(`it is nested deeper than ${MOST_DEPTH} levels`);
    }
  }

  #next(): [TokenKind, string] {
    const found: [TokenKind, string] = [this.#kind, this.#text];
    this.#advance();
    return found;
  }

  #take(operator: string): boolean {
    if (this.#kind !== 'operator' || this.#text !== operator) {
      return false;
    }
    this.#advance();
    return true;
  }

  #expect(operator: string): void {
    if (!this.#take(operator)) {
      throw new NotInGrammar(`${shown(operator)} is missing`);
    }
  }

  #advance(): void {
    BLANK.lastIndex = this.#at;
    BLANK.exec(this.#source);
    const from = BLANK.lastIndex;
    if (from >= this.#source.length) {
      [this.#kind, this.#text] = ['end', ''];
      return;
    }
    for (const [kind, pattern] of TOKENS) {
      pattern.lastIndex = from;
      const found = pattern.exec(this.#source);
      if (found) {
        this.#count += 1;
        if (this.#count > MOST_TOKENS) {
          throw new NotInGrammar(`it has more than ${MOST_TOKENS} parts`);
        }
        [this.#kind, this.#text, this.#at] = [kind, found[0], pattern.lastIndex];
        return;
      }
    }
    throw new NotInGrammar(`${shown(String.fromCodePoint(this.#source.codePointAt(from) ?? 0))} is not in its grammar`);
  }
}

function member(base: FormulaPart, name: string): FormulaPart {
  if (base.kind !== 'path') {
    throw new NotInGrammar('only datum and parameters have members');
  }
  if (INHERITED.has(name)) {
    throw new NotInGrammar(`${shown(name)} is no member of data`);
  }
  return { text: PLAIN_NAME.test(name) ? `${inner(base)}.${name}` : `${inner(base)}[${quoted(name)}]`, kind: 'path' };
}

function inner(part: FormulaPart): string {
  return part.kind === 'joined' ? `(${part.text})` : part.text;
}

function value(literal: string): string {
  return literal
    .slice(1, -1)
    .replace(ESCAPE, (_, short?: string, long?: string, one?: string) =>
      one === undefined ? String.fromCharCode(parseInt(short ?? long ?? '', 16)) : (ESCAPED.get(one) ?? one)
    );
}

function shown(text: string): string {
  return `"${start(text, 40)}"`;
}

/** The first characters of a text, as Python counts them. */
export function start(text: string, most: number): string {
  return Array.from(text.slice(0, 2 * most))
    .slice(0, most)
    .join('');
}

/** Characters of a text, as Python counts them. */
export function length(text: string): number {
  return text.replace(/[\ud800-\udbff][\udc00-\udfff]/g, '.').length;
}
