/**
 * Shows a notification of the browser for each call that waits for consent, while the page is not in front.
 *
 * It names the asker and the tool, and not the arguments: it may appear on a locked screen. It is off until a person
 * switches it on.
 */

import type { TranslationBundle } from '@jupyterlab/translation';

import type { Question } from '../api';
import { requestText } from './effects';

/** A notification of the browser that is shown. */
interface ShownNotice {
  onclick: ((event: Event) => void) | null;
  close: () => void;
}

/** `window.Notification`, or a replacement in tests. */
export interface DesktopNotifier {
  readonly permission: NotificationPermission;
  requestPermission: () => Promise<NotificationPermission>;
  new (title: string, options: { body: string; tag: string }): ShownNotice;
}

export class DesktopNotices {
  readonly #shown = new Map<string, ShownNotice | null>();
  #isOn = false;
  #wasAsked = false;

  constructor(
    private readonly trans: TranslationBundle,
    private readonly review: (question: Question) => void,
    /** Undefined: the browser has no notifications, or the page may not use them. */
    private readonly notifier: DesktopNotifier | undefined,
    private readonly isAway: () => boolean
  ) {}

  /** Switch the notifications on or off. The browser asks for its permission once. */
  set isOn(isOn: boolean) {
    this.#isOn = isOn;
    if (isOn && this.notifier?.permission === 'default' && !this.#wasAsked) {
      this.#wasAsked = true;
      void this.notifier.requestPermission();
    }
  }

  /** Show the calls that wait now, and close the notifications of those that do not. */
  update(questions: readonly Question[]): void {
    const waiting = new Set(questions.map(question => question.id));
    for (const [id, notice] of this.#shown) {
      if (!waiting.has(id)) {
        notice?.close();
        this.#shown.delete(id);
      }
    }
    for (const question of questions) {
      if (!this.#shown.has(question.id)) {
        this.#shown.set(question.id, this.#show(question));
      }
    }
  }

  #show(question: Question): ShownNotice | null {
    if (!this.#isOn || this.notifier?.permission !== 'granted' || !this.isAway()) {
      return null;
    }
    const body = requestText(question, this.trans);
    const notice = new this.notifier(this.trans.__('Waiting for you'), { body, tag: `pctx ${question.id}` });
    notice.onclick = () => {
      window.focus();
      this.review(question);
    };
    return notice;
  }
}
