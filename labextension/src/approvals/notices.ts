/**
 * Shows a notification for each call that waits for consent, until it is answered or reviewed in the panel. The
 * keyboard focus does not move.
 *
 * A call can be allowed in its notification only if the notification shows all of its arguments.
 */

import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Question } from '../api';
import { inertLine, whole } from '../inert';
import type { Notifier } from '../notifier';
import { requestText } from './effects';
import { Deadlines, clock } from './model';

/** Notifications at the same time. */
export const MOST = 3;
/** Characters of a notification: JupyterLab cuts what is longer. */
const MOST_MESSAGE = 140;
const MOST_ARGUMENTS = 60;
/** Seconds between two updates of the time that is left: a screen reader reads each of them. */
const STEP_S = 10;

/** What can be done from a notification. */
export interface Reactions {
  review: (question: Question) => void;
  allow: (question: Question) => void;
  deny: (question: Question) => void;
}

interface OpenNotice {
  notification: string;
  /** What it says; null: it was closed, because the question is shown in the panel. */
  message: string | null;
  question: Question;
}

export class ApprovalNotices {
  readonly #shown = new Map<string, OpenNotice>();
  /** Questions that were answered here. A notification can be clicked again while it fades out. */
  readonly #answered = new WeakSet<Question>();

  constructor(
    private readonly trans: TranslationBundle,
    private readonly reactions: Reactions,
    private readonly notifier: Notifier = Notification,
    private readonly deadlines: Deadlines = new Deadlines()
  ) {}

  /** Show the calls that wait now. */
  update(questions: readonly Question[]): void {
    const first = questions.slice(0, MOST);
    const waiting = new Set(first.map(question => question.id));
    for (const [id, { notification }] of this.#shown) {
      if (!waiting.has(id)) {
        this.notifier.dismiss(notification);
        this.#shown.delete(id);
      }
    }
    for (const question of first) {
      if (!this.#shown.has(question.id)) {
        const message = this.#message(question);
        const options = { autoClose: false as const, actions: this.#actions(question) };
        const notification = this.notifier.emit(message, 'warning', options);
        this.#shown.set(question.id, { notification, message, question });
      }
    }
  }

  /** Show how much time is left now. */
  tick(): void {
    for (const shown of this.#shown.values()) {
      const message = this.#message(shown.question);
      if (shown.message !== null && message !== shown.message) {
        shown.message = message;
        this.notifier.update({
          id: shown.notification,
          message,
          type: 'warning',
          autoClose: false,
          actions: this.#actions(shown.question)
        });
      }
    }
  }

  #message(question: Question): string {
    const given = inertLine(question.arguments, MOST_ARGUMENTS);
    const asks = requestText(question, this.trans, given);
    const left = this.deadlines.left(question.id);
    if (left === null) {
      return asks;
    }
    return this.trans.__('%1 · %2 left', asks, clock(left > STEP_S ? Math.ceil(left / STEP_S) * STEP_S : STEP_S));
  }

  /** Whether the notification shows everything that the call passes. */
  #isWhole(question: Question): boolean {
    if (question.form) {
      return false;
    }
    const given = whole(question.arguments).replace(/\s+/g, ' ').trim();
    return !question.is_cut && given.length <= MOST_ARGUMENTS && this.#message(question).length <= MOST_MESSAGE;
  }

  #actions(question: Question): Notification.IAction[] {
    const review: Notification.IAction = {
      label: this.trans.__('Review'),
      displayType: 'accent',
      callback: () => {
        this.#close(question);
        this.reactions.review(question);
      }
    };
    const allow: Notification.IAction = {
      label: this.trans.__('Allow'),
      displayType: 'default',
      callback: () => {
        this.#answer(question, this.reactions.allow);
      }
    };
    const deny: Notification.IAction = {
      label: this.trans.__('Deny'),
      displayType: 'warn',
      callback: () => {
        this.#answer(question, this.reactions.deny);
      }
    };
    return this.#isWhole(question) ? [review, allow, deny] : [review, deny];
  }

  #close({ id }: Question): void {
    const shown = this.#shown.get(id);
    if (shown) {
      shown.message = null;
      this.notifier.dismiss(shown.notification);
    }
  }

  #answer(question: Question, reaction: (question: Question) => void): void {
    if (!this.#answered.has(question)) {
      this.#answered.add(question);
      reaction(question);
    }
  }
}
