/**
 * The stream of snapshots: read from the body of a fetch(), since EventSource cannot send a token; begun anew, with
 * back-off, whenever it ends or falls silent. In the browser.
 *
 *   connecting ─► live ⇄ lost                 wants-token: until `retry` is called
 *
 * @typedef {import('../events.ts').Snapshot} Snapshot
 * @typedef {{readonly kind: 'connecting' | 'live' | 'lost' | 'wants-token', readonly why: string}} Contact
 */

import { ask, hasToken, Refused } from './edge-client.js';

/** The edge sends something each second. */
const SILENCE_MS = 3_500;
const BACKOFF_MS = { first: 500, most: 10_000 };
const BUFFER_CHARS_MAX = 64 * 1024 * 1024;

class EdgeStops extends Error {}

export class Feed {
  #onSnapshot;
  #onContact;
  #failures = 0;
  #isStarted = false;
  /** @type {(() => void) | null} */
  #wake = null;

  /**
   * @param {(snapshot: Snapshot) => void} onSnapshot
   * @param {(contact: Contact) => void} onContact
   */
  constructor(onSnapshot, onContact) {
    this.#onSnapshot = onSnapshot;
    this.#onContact = onContact;
  }

  start() {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#onContact({ kind: 'connecting', why: '' });
    void this.#run();
  }

  /** Without waiting any longer. */
  retry() {
    this.#wake?.();
  }

  async #run() {
    for (;;) {
      const contact = await this.#follow();
      // a stream's life is bounded, and the next one is the same to whoever looks on
      if (contact !== null) this.#onContact(contact);
      await this.#pause(contact?.kind === 'wants-token' ? null : this.#backoffMs());
    }
  }

  /** One stream to its end; null where it ended well. */
  async #follow() {
    const silence = new Silence();
    try {
      const response = await ask('events', { signal: silence.signal });
      if (response.body === null) throw new Error('the answer is empty');
      let hasSpoken = false;
      for await (const { event, data } of eventsOf(response.body, () => silence.restart())) {
        if (event === 'end') throw new EdgeStops('The edge has been told to stop.');
        if (event !== 'snapshot') continue;
        const snapshot = /** @type {Snapshot} */ (JSON.parse(data));
        this.#failures = 0;
        hasSpoken = true;
        this.#onContact({ kind: 'live', why: '' });
        this.#onSnapshot(snapshot);
      }
      return hasSpoken ? null : lost('The stream ended.');
    } catch (error) {
      if (error instanceof Refused && error.status === 401) {
        return /** @type {Contact} */ ({ kind: 'wants-token', why: hasToken() ? 'This is not the token.' : '' });
      }
      if (error instanceof Refused) return lost(`It refuses: ${error.message}.`);
      if (error instanceof EdgeStops) return lost(error.message);
      return lost(silence.signal.aborted ? 'It does not answer.' : 'The connection broke off, or cannot be made.');
    } finally {
      silence.stop();
    }
  }

  #backoffMs() {
    const most = Math.min(BACKOFF_MS.most, BACKOFF_MS.first * 2 ** this.#failures++);
    return most * (0.5 + Math.random() / 2);
  }

  /** @param {number | null} ms Null: until `retry`. */
  async #pause(ms) {
    const timer = ms === null ? undefined : setTimeout(() => this.#wake?.(), ms);
    await new Promise((resolve) => {
      this.#wake = () => resolve(null);
    });
    this.#wake = null;
    clearTimeout(timer);
  }
}

/** Aborts what has said nothing for too long. */
class Silence {
  #aborter = new AbortController();
  #timer = 0;
  signal = this.#aborter.signal;

  constructor() {
    this.restart();
  }

  restart() {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#aborter.abort(), SILENCE_MS);
  }

  /** And lets go of the stream. */
  stop() {
    clearTimeout(this.#timer);
    this.#aborter.abort();
  }
}

/**
 * @param {string} why
 * @returns {Contact}
 */
function lost(why) {
  return { kind: 'lost', why };
}

/**
 * HTML, section 9.2.6, as far as this edge uses it: LF alone, one data line an event.
 * @param {ReadableStream<Uint8Array>} body
 * @param {() => void} onBytes
 */
async function* eventsOf(body, onBytes) {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let buffer = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onBytes();
    const blocks = (buffer + decoder.decode(value, { stream: true })).split('\n\n');
    buffer = blocks.pop() ?? '';
    if (buffer.length > BUFFER_CHARS_MAX) throw new Error('an event has no end');
    for (const block of blocks) {
      const fields = new Map(block.split('\n').map((line) => split(line)));
      yield { event: fields.get('event') ?? '', data: fields.get('data') ?? '' };
    }
  }
}

/**
 * @param {string} line
 * @returns {[name: string, value: string]}
 */
function split(line) {
  const at = line.indexOf(': ');
  return at === -1 ? [line, ''] : [line.slice(0, at), line.slice(at + 2)];
}
