/**
 * The arguments of calls that wait for consent, as the user has edited them, and what is wrong with them.
 *
 * It never touches the DOM. Arguments stay texts, because their numbers may be larger than JavaScript's. The server checks
 * them against the tool's schema: there is one set of rules.
 */

import { type ISignal, Signal } from '@lumino/signaling';

import type { ArgumentProblem, Question } from '../api';
import { whole } from '../inert';
import { jsonProblem, objectProblem } from '../json';
import { type FormField, type Members, fieldsOf, joined, jsonOf, membersOf, parsed } from './fields';

/** Asks the server what is wrong with arguments, which are JSON; null: the draft of an answer to a form. */
export type CheckArguments = (id: string, args: string | null) => Promise<readonly ArgumentProblem[]>;

/** Milliseconds after the last keystroke until arguments are checked. */
const REST_MS = 200;

interface Draft {
  text: string;
  /** The values of a form, which the text is made of; null: the text itself was edited, or it has no form. */
  members: Members | null;
  /** What the server found; null: the text has changed since. */
  problems: readonly ArgumentProblem[] | null;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class Drafts {
  readonly #changed = new Signal<this, void>(this);
  readonly #check: CheckArguments;
  readonly #drafts = new Map<string, Draft>();
  /** The fields of each question's form; null: its arguments are edited as JSON. */
  readonly #forms = new Map<string, FormField[] | null>();
  /** Fields that a person has changed, by question. */
  readonly #touched = new Map<string, Set<string>>();
  readonly deadlines = new Deadlines();

  constructor(check: CheckArguments = () => Promise.resolve([])) {
    this.#check = check;
  }

  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  /** Take the calls that wait now; drop the edits of those that no longer do. */
  keep(questions: readonly Question[]): void {
    this.deadlines.keep(questions);
    const ids = new Set(questions.map(question => question.id));
    for (const [id, draft] of this.#drafts) {
      if (!ids.has(id)) {
        clearTimeout(draft.timer);
        this.#drafts.delete(id);
      }
    }
    for (const known of [this.#forms, this.#touched]) {
      for (const id of known.keys()) {
        if (!ids.has(id)) {
          known.delete(id);
        }
      }
    }
    for (const question of questions) {
      if (question.form?.schema && !this.#drafts.has(question.id)) {
        // The draft of an answer has to be filled in first.
        const draft: Draft = { text: shown(question), members: null, problems: null, timer: undefined };
        this.#drafts.set(question.id, draft);
        void this.#ask(question.id, draft, null);
      }
    }
    this.#changed.emit();
  }

  /** Time has passed. */
  tick(): void {
    this.#changed.emit();
  }

  text(question: Question): string {
    return this.#drafts.get(question.id)?.text ?? shown(question);
  }

  /** The fields to edit; null: the arguments are edited as JSON. */
  fields(question: Question): FormField[] | null {
    let fields = this.#forms.get(question.id);
    if (fields === undefined) {
      fields = this.#formOf(question);
      this.#forms.set(question.id, fields);
    }
    return fields;
  }

  /** Whether the arguments can be edited in the other way: as JSON, or in a form. */
  canSwitch(question: Question): boolean {
    return this.fields(question) !== null || this.#formOf(question) !== null;
  }

  /** Edit as JSON what was edited in a form, and the other way round. */
  switch(question: Question): void {
    this.#forms.set(question.id, this.fields(question) === null ? this.#formOf(question) : null);
    const draft = this.#drafts.get(question.id);
    if (draft) {
      draft.members = null;
    }
    this.#changed.emit();
  }

  /** The JSON of a field's value; undefined: it is left out. */
  value(question: Question, field: FormField): string | undefined {
    return this.#members(question)?.get(field.name);
  }

  /** Put a text into a field. */
  fill(question: Question, field: FormField, text: string): void {
    const members = new Map(this.#members(question));
    const json = jsonOf(field, text);
    if (json === null) {
      members.delete(field.name);
    } else {
      members.set(field.name, json);
    }
    const touched = this.#touched.get(question.id) ?? new Set();
    this.#touched.set(question.id, touched.add(field.name));
    this.write(question, joined(members), members);
  }

  isTouched(question: Question, field: FormField): boolean {
    return !question.form || (this.#touched.get(question.id)?.has(field.name) ?? false);
  }

  write(question: Question, text: string, members: Members | null = null): void {
    clearTimeout(this.#drafts.get(question.id)?.timer);
    const draft: Draft = { text, members, problems: null, timer: undefined };
    this.#drafts.set(question.id, draft);
    const edited = this.edited(question);
    if (typeof edited === 'string' || (edited === null && question.form?.schema)) {
      draft.timer = setTimeout(() => void this.#ask(question.id, draft, edited), REST_MS);
    }
    this.#changed.emit();
  }

  /** The arguments to pass; null: the program's own; `undefined`: the edited text is not a JSON object. */
  edited(question: Question): string | null | undefined {
    const text = this.text(question);
    if (question.is_cut || text === shown(question)) {
      return null;
    }
    // Each value by itself: a text such as `1, "b": 2` would make another argument.
    const members = this.#drafts.get(question.id)?.members ?? new Map<string, string>();
    const isValid = [...members.values()].every(json => parsed(json) !== undefined);
    return isValid && objectProblem(text) === null ? text : undefined;
  }

  /** What is wrong with the edited arguments, as far as it is known. */
  problems(question: Question): readonly ArgumentProblem[] {
    const draft = this.#drafts.get(question.id);
    if (!draft || (this.edited(question) === null && !question.form)) {
      return [];
    }
    const wrong = [...(draft.members ?? [])].filter(([, json]) => parsed(json) === undefined);
    if (wrong.length > 0) {
      return wrong.map(([field, json]) => ({ field, message: `is not valid JSON: ${jsonProblem(json) ?? ''}` }));
    }
    const error = objectProblem(draft.text);
    return error === null ? (draft.problems ?? []) : [{ field: '', message: error }];
  }

  /** Whether the call can be allowed with the arguments as they are edited. */
  canAllow(question: Question): boolean {
    return this.problems(question).length === 0;
  }

  /** Take note that the server has refused the arguments. */
  refuse(question: Question, problems: readonly ArgumentProblem[]): void {
    const draft = this.#drafts.get(question.id);
    if (draft) {
      draft.problems = problems;
      this.#changed.emit();
    }
  }

  #members(question: Question): Members | null {
    return this.#drafts.get(question.id)?.members ?? this.#membersOfText(question);
  }

  #membersOfText(question: Question): Members | null {
    const members = membersOf(this.text(question));
    // In the draft of an answer, null is an empty field.
    return members && question.form ? new Map([...members].filter(([, json]) => json !== 'null')) : members;
  }

  #formOf(question: Question): FormField[] | null {
    const members = question.is_cut ? null : this.#membersOfText(question);
    return members && fieldsOf(question.form?.schema ?? question.input_schema, members);
  }

  async #ask(id: string, draft: Draft, args: string | null): Promise<void> {
    let problems: readonly ArgumentProblem[];
    try {
      problems = await this.#check(id, args);
    } catch {
      return; // the server checks them again when the call is allowed
    }
    if (this.#drafts.get(id) === draft) {
      draft.problems = problems;
      this.#changed.emit();
    }
  }
}

/** The code of a question, line by line: the number in its program, and whether it is the one that calls. */
export function linesOf(question: Question): { number: number; text: string; isCalling: boolean }[] {
  const first = question.first_line ?? 1;
  return question.code
    .split('\n')
    .map((text, index) => ({ number: first + index, text, isCalling: first + index === question.line }));
}

/**
 * The arguments as text to show: formatted, and with escapes for characters that hide or reverse others. It is the same
 * JSON.
 */
export function shown(question: Question): string {
  const text = question.arguments;
  // Formatting parses numbers, and would change large ones and those with many digits.
  if (question.is_cut || /\d{16}|\d[eE]|-0/.test(text)) {
    return whole(text);
  }
  try {
    return whole(JSON.stringify(JSON.parse(text), null, 2));
  } catch {
    return whole(text);
  }
}

/** When calls are denied: `left_s` of a question counts from the moment of the server's answer. */
export class Deadlines {
  readonly #ends = new Map<string, number>();
  readonly #begun = new Map<string, number>();
  readonly #now: () => number;

  /** @param now Seconds, from any beginning. */
  constructor(now: () => number = () => performance.now() / 1000) {
    this.#now = now;
  }

  keep(questions: readonly Question[]): void {
    const ids = new Set(questions.map(question => question.id));
    for (const id of this.#ends.keys()) {
      if (!ids.has(id)) {
        this.#ends.delete(id);
        this.#begun.delete(id);
      }
    }
    for (const question of questions) {
      if (question.left_s !== undefined) {
        this.#ends.set(question.id, this.#now() + question.left_s);
        if (!this.#begun.has(question.id)) {
          this.#begun.set(question.id, question.left_s);
        }
      }
    }
  }

  /** Whole seconds until the call is denied; null: that is not known. */
  left(id: string): number | null {
    const end = this.#ends.get(id);
    return end === undefined ? null : Math.max(0, Math.ceil(end - this.#now()));
  }

  /** The part of the time that is left, from 1 to 0. */
  part(id: string): number {
    return Math.min(1, (this.left(id) ?? 0) / (this.#begun.get(id) || 1));
  }
}

/** Minutes and seconds: `1:42`. */
export function clock(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
