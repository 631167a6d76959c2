// Is what the page shows still true? Holds the stream, and knows how long ago it last spoke.
//
// The service sends at least one message a second. A browser notices a broken wire late or never, so the page counts the silence
// itself: after SILENCE_MS it is stale, whatever the browser thinks of the connection.

const SILENCE_MS = 3_000;
const REOPEN_MS = 10_000;

export class Connection {
  #source = null;
  #heardAt = performance.now();
  #openedAt = 0;
  #ever = false;
  #onMessage;
  #page;

  /** One connection a tab: it carries the shared state, and what `page` shows besides. */
  constructor(onMessage, page) {
    this.#onMessage = onMessage;
    this.#page = page;
    this.#open();
    setInterval(() => this.#watch(), 1_000);
  }

  /** `connecting` before the first message, then `live` or `broken`. */
  get state() {
    if (!this.#ever) return "connecting";
    return this.silenceMs > SILENCE_MS ? "broken" : "live";
  }

  get silenceMs() {
    return performance.now() - this.#heardAt;
  }

  /** Go on with another page; the service begins with a snapshot. */
  show(page) {
    this.#page = page;
    this.#open();
  }

  #open() {
    this.#source?.close();
    this.#openedAt = performance.now();
    this.#source = new EventSource(`/api/stream?page=${encodeURIComponent(this.#page)}`);
    this.#source.onmessage = (event) => {
      this.#heardAt = performance.now();
      this.#ever = true;
      this.#onMessage(JSON.parse(event.data));
    };
  }

  #watch() {
    // The browser retries a refused connection itself, but not one that was answered with an error, nor one that only fell silent.
    const tried = performance.now() - this.#openedAt;
    const gaveUp = this.#source.readyState === EventSource.CLOSED && tried > 2_000;
    if (gaveUp || (this.silenceMs > REOPEN_MS && tried > REOPEN_MS)) this.#open();
  }
}
