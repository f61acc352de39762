/**
 * The reader of ClientHellos: whatever the bytes, it returns; and however they come in, it decides the same and once.
 * Test support.
 */

import { ClientHello, HELLO, HELLO_BYTES_MAX, type HelloOutcome } from '../../../workers/client-hello.ts';
import { extension, hello, records, serverName, versions } from '../../workers/hello-bytes.ts';
import { mutateBytes } from '../byte-mutations.ts';
import { Random } from '../random.ts';
import { type CaseVerdict, checkEach, type FuzzCase, type FuzzTarget } from '../target.ts';

const BATCH = 256;
/** Of a longer case these many beginnings are read, spread over it. */
const PREFIXES_MAX = 300;
const NAMES = ['a.example', 'WWW.Example.', '', 'x'.repeat(300), '127.0.0.1', 'a\0b', '\xff'];
const OUTCOMES = { [HELLO.incomplete]: 'incomplete', [HELLO.notTls]: 'not TLS', [HELLO.whole]: 'whole' } as const;

interface Reading {
  readonly outcome: HelloOutcome;
  readonly serverName: string;
  readonly offersTls13: boolean;
}

export class HelloTarget implements FuzzTarget {
  readonly #hello = new ClientHello();

  batchOf(seed: number, batch: number): FuzzCase[] {
    const random = new Random(Math.imul(seed, 0x9e3779b1) ^ batch);
    return Array.from({ length: BATCH }, () => ({ target: 'hello', tag: 'bytes', bytes: newHello(random) }));
  }

  check(cases: readonly FuzzCase[], about: (fuzzCase: FuzzCase) => void): Promise<readonly CaseVerdict[]> {
    return checkEach(cases, about, ({ bytes }) => this.#checkOne(bytes));
  }

  async close(): Promise<void> {}

  #checkOne(bytes: Buffer): CaseVerdict {
    // what lies behind the end must not be looked at
    const larger = Buffer.concat([bytes, Buffer.alloc(64, 0x16)]);
    const step = Math.max(1, Math.floor(bytes.length / PREFIXES_MAX));
    let decided: Reading | null = null;
    for (let end = 1; end <= bytes.length; end += step) {
      const reading = this.#read(larger, end);
      const said = `${end} of ${bytes.length} bytes: ${JSON.stringify(reading)}, before ${JSON.stringify(decided)}`;
      const { outcome } = reading;
      if (outcome === HELLO.incomplete && end >= HELLO_BYTES_MAX)
        return verdict(reading, `waits without bound: ${said}`);
      if (outcome !== HELLO.whole && (reading.serverName !== '' || reading.offersTls13)) {
        return verdict(reading, `asks for something, and is not whole: ${said}`);
      }
      if (!/^[a-z0-9._-]*$/.test(reading.serverName)) return verdict(reading, `no host name: ${said}`);
      if (decided !== null && !isSame(decided, reading)) return verdict(reading, `decides anew: ${said}`);
      // with every byte that comes the records are read anew, until it is decided
      if (outcome !== HELLO.incomplete) decided ??= reading;
      if (decided !== null && end > HELLO_BYTES_MAX) break;
    }
    const last = this.#read(larger, bytes.length);
    return verdict(last, null);
  }

  #read(bytes: Buffer, end: number): Reading {
    const outcome = this.#hello.read(bytes, end);
    return { outcome, serverName: this.#hello.serverName, offersTls13: this.#hello.offersTls13 };
  }
}

/** 65 records are too many, also where the hello was whole before: nobody asks again then. */
function isSame(decided: Reading, now: Reading): boolean {
  if (decided.outcome === HELLO.whole && now.outcome === HELLO.notTls) return true;
  return (
    decided.outcome === now.outcome && decided.serverName === now.serverName && decided.offersTls13 === now.offersTls13
  );
}

function verdict({ outcome, serverName: name }: Reading, difference: string | null): CaseVerdict {
  return { messages: 1, classes: { [`${OUTCOMES[outcome]}${name === '' ? '' : ', names a host'}`]: 1 }, difference };
}

function newHello(random: Random): Buffer {
  if (random.below(16) === 0) return Buffer.from(Array.from({ length: random.below(200) }, () => random.below(256)));
  const extensions = [
    serverName(random.pick(NAMES)),
    versions(0x0304, 0x0303),
    extension(random.below(60), Buffer.alloc(random.below(random.pick([4, 40, 4_000])))),
  ];
  const kept = extensions.filter(() => random.below(5) > 0);
  let message = hello(random.below(10) === 0 ? null : kept);
  if (random.below(2) === 0) message = mutateBytes(message, random, 1 + random.below(3));
  const fragments: Buffer[] = [];
  const size = random.pick([message.length, message.length, 1, 50, 1_000]) + 1;
  for (let at = 0; at < message.length; at += size) fragments.push(message.subarray(at, at + size));
  const stream = records(...fragments.map((fragment) => fragment.subarray(0, 65_535)));
  return random.below(3) === 0 ? mutateBytes(stream, random, 1 + random.below(3)) : stream;
}
