/** Sends requests of each kind one at a time. */

export class RequestTurns {
  /** The kinds that are under way, and whether each is wanted once more. */
  readonly #busy = new Map<string, boolean>();
  readonly #isOver: () => boolean;

  /** @param isOver Whether nothing is to be repeated any more. */
  constructor(isOver: () => boolean) {
    this.#isOver = isOver;
  }

  /** Send a request; if one of its kind is under way, repeat that once afterwards. */
  send(kind: string, work: () => Promise<void>): void {
    if (this.#busy.has(kind)) {
      this.#busy.set(kind, true);
      return;
    }
    this.#busy.set(kind, false);
    work()
      .catch(() => {
        // The socket reports when the server is gone; everything is requested again when it is back.
      })
      .finally(() => {
        const again = this.#busy.get(kind) ?? false;
        this.#busy.delete(kind);
        if (again && !this.#isOver()) {
          this.send(kind, work);
        }
      });
  }
}
