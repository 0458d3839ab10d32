/** Tells of calls that wait for consent, without taking the keyboard: a notification each, gone when they are answered. */

import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Question } from '../api';
import { inertLine } from '../inert';

/** Notifications at a time; of more calls, one more tells. */
export const MOST = 3;
const MOST_ARGUMENTS = 120;

/** What is told, apart from how: `Notification`, or what a test puts in its place. */
export type Teller = Pick<typeof Notification, 'emit' | 'dismiss'>;

/** What can be done from a notification. */
export interface Reactions {
  review: (question: Question) => void;
  deny: (question: Question) => void;
}

export class Notices {
  readonly #told = new Map<string, string>();

  constructor(
    private readonly trans: TranslationBundle,
    private readonly reactions: Reactions,
    private readonly teller: Teller = Notification
  ) {}

  /** Take in which calls wait. */
  hear(questions: readonly Question[]): void {
    const first = questions.slice(0, MOST);
    const waiting = new Set(first.map(question => question.id));
    for (const [id, told] of this.#told) {
      if (!waiting.has(id)) {
        this.teller.dismiss(told);
        this.#told.delete(id);
      }
    }
    for (const question of first) {
      if (!this.#told.has(question.id)) {
        this.#told.set(question.id, this.#tell(question));
      }
    }
  }

  #tell(question: Question): string {
    const tool = inertLine(question.tool, 100);
    const given = inertLine(question.arguments, MOST_ARGUMENTS);
    const asks =
      question.asked_by === 'agent'
        ? this.trans.__('An agent asks to call %1 with %2', tool, given)
        : this.trans.__('A program asks to call %1 with %2', tool, given);
    return this.teller.emit(asks, 'warning', {
      autoClose: false,
      actions: [
        {
          label: this.trans.__('Review'),
          displayType: 'accent',
          callback: event => {
            event.preventDefault(); // it stays until it is answered
            this.reactions.review(question);
          }
        },
        {
          label: this.trans.__('Deny'),
          displayType: 'warn',
          callback: () => {
            this.reactions.deny(question);
          }
        }
      ]
    });
  }
}
