/**
 * A pause of requests after a failed one, which doubles with each further failure.
 */

/** Milliseconds of the longest pause. */
const LONGEST_MS = 60_000;

export class Pause {
  readonly #shortestMs: number;
  readonly #now: () => number;
  #until = 0;
  #next: number;

  /**
   * @param shortestMs Milliseconds of the first pause.
   * @param now Milliseconds of a clock that never goes back.
   */
  constructor(shortestMs: number, now: () => number) {
    this.#shortestMs = shortestMs;
    this.#now = now;
    this.#next = shortestMs;
  }

  /** Whether requests may be sent now. */
  get isOver(): boolean {
    return this.#until <= this.#now();
  }

  /** A request has failed: send none for a while. */
  begin(): void {
    this.#until = this.#now() + this.#next;
    this.#next = Math.min(2 * this.#next, LONGEST_MS);
  }

  /** Requests may be sent again; the next pause is the shortest. */
  end(): void {
    this.#until = 0;
    this.#next = this.#shortestMs;
  }
}
