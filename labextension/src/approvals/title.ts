/**
 * Puts the number of calls that wait for a person before the title of the page, where a browser's tab shows it.
 *
 * JupyterLab writes the title again when another document comes to the front; the number is then put before the new title.
 */

export class TitleCount {
  #waiting = 0;
  /** What was put before the title; a document may itself be named "(1) copy". */
  #written = '';
  readonly #document: Document;
  readonly #observer: MutationObserver;

  constructor(page: Document) {
    this.#document = page;
    this.#observer = new MutationObserver(() => {
      this.#write();
    });
    // The element with the title may be replaced, so its parent is observed.
    this.#observer.observe(page.head, { childList: true, subtree: true, characterData: true });
  }

  /** Show how many calls wait; 0: show the title alone. */
  count(waiting: number): void {
    this.#waiting = waiting;
    this.#write();
  }

  dispose(): void {
    this.count(0);
    this.#observer.disconnect();
  }

  #write(): void {
    const { title } = this.#document;
    const number = this.#waiting > 0 ? `(${this.#waiting}) ` : '';
    const plain = this.#written !== '' && title.startsWith(this.#written) ? title.slice(this.#written.length) : title;
    this.#written = number;
    if (title !== number + plain) {
      this.#document.title = number + plain;
    }
  }
}
