/**
 * The arguments of calls that wait for consent, as the user has edited them.
 *
 * It never touches the DOM. Arguments stay texts, because their numbers may be larger than JavaScript's.
 */

import { type ISignal, Signal } from '@lumino/signaling';

import type { Question } from '../api';
import { whole } from '../inert';

export class Drafts {
  readonly #changed = new Signal<this, void>(this);
  #texts = new Map<string, string>();

  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  /** Drop the edits of calls that no longer wait. */
  keep(questions: readonly Question[]): void {
    const ids = new Set(questions.map(question => question.id));
    this.#texts = new Map([...this.#texts].filter(([id]) => ids.has(id)));
  }

  text(question: Question): string {
    return this.#texts.get(question.id) ?? shown(question);
  }

  write(question: Question, text: string): void {
    this.#texts.set(question.id, text);
    this.#changed.emit();
  }

  /** The arguments to pass; null: the program's own; `undefined`: the edited text is not a JSON object. */
  edited(question: Question): string | null | undefined {
    const text = this.text(question);
    if (question.is_cut || text === shown(question)) {
      return null;
    }
    try {
      const value: unknown = JSON.parse(text);
      return typeof value === 'object' && value !== null && !Array.isArray(value) ? text : undefined;
    } catch {
      return undefined;
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
