/**
 * Looks nodes' names up, by what the system has for that (/etc/hosts, DNS: getaddrinfo), so that a name which cannot be
 * looked up hurts no other. Main thread and listener threads; one object a thread, nothing shared.
 *
 * Node looks up at every connect, on a pool of threads that the whole process shares, of which two at most look up: names
 * whose servers are silent hold these for many seconds each, and every request adds another look-up to the queue. Here a
 * name is looked up once at a time, two names at most at a time, and connections use what is known meanwhile.
 */

import dns from 'node:dns';
import type net from 'node:net';

/** An answer this old is good without another look-up. getaddrinfo does not tell how long DNS thinks it is. */
const FRESH_MS = 10_000;
/** After a failure, how long none is tried. */
const RETRY_MS = 1_000;
/** How long a connection waits for a newer answer than the one that is known, while nothing speaks against that. */
const PATIENCE_MS = 500;
/** How long one waits where nothing is known. */
const DEADLINE_MS = 5_000;
/** As many as getaddrinfo runs in a pool of Node's size. The others wait here. */
const RUNNING_MAX = 2;
/** Beyond this many names those that were not asked for lately are forgotten. */
const NAMES_MAX = 10_000;

/** dns.lookup with `all`. */
export type Lookup = (
  name: string,
  onDone: (error: LookupError | null, addresses: dns.LookupAddress[]) => void,
) => void;
export type LookupError = NodeJS.ErrnoException;

/** Told when a name that could be looked up cannot be any more (`reason` is the error's code), and when it can again. */
export type OnChange = (name: string, reason: string | null, addresses: number) => void;

export interface ResolverOptions {
  readonly onChange: OnChange;
  /** For tests. */
  readonly lookup?: Lookup;
  /** For tests: ms, steady. */
  readonly now?: () => number;
}

type OnAnswer = (error: LookupError | null, addresses: readonly dns.LookupAddress[]) => void;

/** What is known of a name. */
class Name {
  readonly text: string;
  /** The last good answer; empty where there was none yet. */
  addresses: readonly dns.LookupAddress[] = [];
  answeredAtMs = Number.NEGATIVE_INFINITY;
  failedAtMs = Number.NEGATIVE_INFINITY;
  /** Why it cannot be looked up; null where it can, as far as is known. */
  error: LookupError | null = null;
  /** It is being looked up, or waits for that. */
  isBusy = false;
  readonly waiting = new Set<() => void>();

  constructor(text: string) {
    this.text = text;
  }
}

export class NameResolver {
  readonly #names = new Map<string, Name>();
  readonly #queue: Name[] = [];
  readonly #onChange: OnChange;
  readonly #lookup: Lookup;
  readonly #now: () => number;
  #running = 0;

  constructor({ onChange, lookup = systemLookup, now = () => performance.now() }: ResolverOptions) {
    this.#onChange = onChange;
    this.#lookup = lookup;
    this.#now = now;
  }

  /** For net.connect and all that is built on it. Never asked for addresses: Node knows those. */
  readonly lookup: net.LookupFunction = (text, { all }, callback) => {
    this.#resolve(text, (error, addresses) => {
      if (error !== null) callback(error, []);
      else if (all === true) callback(null, [...addresses]);
      else callback(null, addresses[0]?.address ?? '', addresses[0]?.family);
    });
  };

  #resolve(text: string, onAnswer: OnAnswer): void {
    const name = this.#nameOf(text);
    const now = this.#now();
    const isKnown = name.addresses.length > 0;
    const isFresh = now - name.answeredAtMs < FRESH_MS;
    if (!isFresh && !name.isBusy && now - name.failedAtMs >= RETRY_MS) this.#begin(name);
    if (isKnown && (isFresh || name.error !== null || !name.isBusy)) onAnswer(null, name.addresses);
    else if (name.isBusy) this.#wait(name, isKnown ? PATIENCE_MS : DEADLINE_MS, onAnswer);
    else onAnswer(name.error, []);
  }

  #nameOf(text: string): Name {
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    if (this.#names.size >= NAMES_MAX) this.#forget();
    const name = new Name(text);
    this.#names.set(text, name);
    return name;
  }

  #forget(): void {
    const now = this.#now();
    for (const [text, { isBusy, answeredAtMs, failedAtMs }] of this.#names) {
      if (!isBusy && now - Math.max(answeredAtMs, failedAtMs) >= FRESH_MS) this.#names.delete(text);
    }
  }

  #wait(name: Name, ms: number, onAnswer: OnAnswer): void {
    const answer = () => {
      clearTimeout(timer);
      name.waiting.delete(answer);
      onAnswer(name.addresses.length > 0 ? null : name.error, name.addresses);
    };
    const timer = setTimeout(() => {
      this.#inTrouble(name, overdue(name.text));
      answer();
    }, ms);
    timer.unref();
    name.waiting.add(answer);
  }

  #begin(name: Name): void {
    name.isBusy = true;
    this.#queue.push(name);
    this.#next();
  }

  #next(): void {
    while (this.#running < RUNNING_MAX) {
      const name = this.#queue.shift();
      if (name === undefined) return;
      this.#running++;
      this.#lookup(name.text, (error, addresses) => {
        this.#running--;
        this.#settle(name, error, addresses);
        this.#next();
      });
    }
  }

  #settle(name: Name, error: LookupError | null, addresses: readonly dns.LookupAddress[]): void {
    name.isBusy = false;
    if (error === null && addresses.length > 0) {
      const wasInTrouble = name.error !== null;
      name.error = null;
      name.addresses = addresses;
      name.answeredAtMs = this.#now();
      if (wasInTrouble) this.#onChange(name.text, null, addresses.length);
    } else {
      name.failedAtMs = this.#now();
      this.#inTrouble(name, error ?? Object.assign(new Error(`no address of ${name.text}`), { code: 'ENOTFOUND' }));
    }
    for (const answer of name.waiting) answer();
  }

  #inTrouble(name: Name, error: LookupError): void {
    const wasWell = name.error === null;
    name.error = error;
    if (wasWell) this.#onChange(name.text, error.code ?? error.message, name.addresses.length);
  }
}

/** It runs on: nothing can end a getaddrinfo. */
function overdue(text: string): LookupError {
  return Object.assign(new Error(`${text} is not looked up in time`), { code: dns.TIMEOUT });
}

const systemLookup: Lookup = (name, onDone) => dns.lookup(name, { all: true }, onDone);
