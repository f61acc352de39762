/**
 * What finding the affinity id in a Cookie header costs, by what the header looks like.
 *
 *   node native-free-bench/micro-cookie-scan.ts
 */

import { backendId, ID_WORDS } from '../src/affinity/backend-id.ts';
import {
  COOKIE_ABSENT,
  COOKIE_ID,
  COOKIE_MALFORMED,
  type CookieResult,
  findAffinityId,
} from '../src/affinity/cookie.ts';
import { callsOf, type Effort, FULL, interleaved, nanosecondsEach, printFigures, type Sampled } from './figures.ts';

const SCANS = 100_000;
const NAME = Buffer.from('X-SERVERID');
const ID = backendId('10.0.0.1:80');
const OTHERS = Array.from({ length: 20 }, (_, i) => `_cookie_${i}=GA1.2.${'0123456789'.repeat(3)}${i}`).join('; ');

const HEADERS: readonly [name: string, header: string, expected: CookieResult][] = [
  ['the id alone', `X-SERVERID=${ID}`, COOKIE_ID],
  ['the id after two others', `theme=dark; lang=en; X-SERVERID=${ID}`, COOKIE_ID],
  [`the id after 20 others (${OTHERS.length} bytes)`, `${OTHERS}; X-SERVERID=${ID}`, COOKIE_ID],
  [`absent from 20 others (${OTHERS.length} bytes)`, OTHERS, COOKIE_ABSENT],
  ['malformed', 'X-SERVERID=deleted', COOKIE_MALFORMED],
  [
    'percent-encoded: allocates',
    `X-SERVERID=%${Buffer.from(ID[0] as string).toString('hex')}${ID.slice(1)}`,
    COOKIE_ID,
  ],
];

export async function run(effort: Effort = FULL): Promise<Sampled[]> {
  const scans = callsOf(SCANS, effort);
  return interleaved(
    Object.fromEntries(HEADERS.map(([name, header, expected]) => [name, scan(scans, header, expected)])),
    'ns',
    effort,
  );
}

/** Nanoseconds a scan of `header`, which stands in a request's bytes. */
function scan(scans: number, header: string, expected: CookieResult): () => number {
  const before = 'GET / HTTP/1.1\r\nHost: www.example.com\r\nCookie: ';
  const bytes = Buffer.from(`${before}${header}\r\n\r\n`);
  const id = new Int32Array(ID_WORDS);
  const end = before.length + header.length;
  return () => {
    let right = 0;
    const each = nanosecondsEach(scans, () => {
      if (findAffinityId(bytes, before.length, end, NAME, id) === expected) right++;
    });
    if (right !== scans) throw new Error(`${scans - right} scans of ${header} went wrong`);
    return each;
  };
}

if (import.meta.main) printFigures(await run());
