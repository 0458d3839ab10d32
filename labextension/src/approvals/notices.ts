/** Shows a notification for each call that waits for consent, until it is answered. The keyboard focus does not move. */

import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Question } from '../api';
import { inertLine } from '../inert';
import type { Notifier } from '../notifier';

/** Notifications at the same time. */
export const MOST = 3;
const MOST_ARGUMENTS = 120;

/** What can be done from a notification. */
export interface Reactions {
  review: (question: Question) => void;
  deny: (question: Question) => void;
}

export class ApprovalNotices {
  readonly #shown = new Map<string, string>();

  constructor(
    private readonly trans: TranslationBundle,
    private readonly reactions: Reactions,
    private readonly notifier: Notifier = Notification
  ) {}

  /** Show the calls that wait now. */
  update(questions: readonly Question[]): void {
    const first = questions.slice(0, MOST);
    const waiting = new Set(first.map(question => question.id));
    for (const [id, notification] of this.#shown) {
      if (!waiting.has(id)) {
        this.notifier.dismiss(notification);
        this.#shown.delete(id);
      }
    }
    for (const question of first) {
      if (!this.#shown.has(question.id)) {
        this.#shown.set(question.id, this.#show(question));
      }
    }
  }

  #show(question: Question): string {
    const tool = inertLine(question.tool, 100);
    const given = inertLine(question.arguments, MOST_ARGUMENTS);
    const asks =
      question.asked_by === 'agent'
        ? this.trans.__('An agent asks to call %1 with %2', tool, given)
        : this.trans.__('A program asks to call %1 with %2', tool, given);
    return this.notifier.emit(asks, 'warning', {
      autoClose: false,
      actions: [
        {
          label: this.trans.__('Review'),
          displayType: 'accent',
          callback: event => {
            event.preventDefault(); // the notification stays until the call is answered
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
