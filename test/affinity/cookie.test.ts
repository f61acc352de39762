/**
 * The affinity cookie, read as CGI::Cookie->parse reads it: against a golden file that it made (test/golden/cookies.pl)
 * and, where Perl has it, against itself.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { backendId, ID_WORDS, readIdWords } from '../../src/affinity/backend-id.ts';
import {
  COOKIE_ABSENT,
  COOKIE_ID,
  COOKIE_MALFORMED,
  encodeCookieName,
  findAffinityId,
  renderCookieAttributes,
} from '../../src/affinity/cookie.ts';

const GOLDEN = readFileSync(new URL('../golden/cookies.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n');
const PEER = fileURLToPath(new URL('../golden/cookies.pl', import.meta.url));
const ID = 'da39a3ee5e6b4b0d3255bfef95601890afd80709';
const NAME = 'X-SERVERID';

type Found = 'absent' | 'malformed' | { id: string };

test('every golden header gives what CGI::Cookie says', () => {
  assert.ok(GOLDEN.length >= 300);
  for (const line of GOLDEN) {
    const [header, value] = JSON.parse(line) as [string, string | null];
    assert.deepEqual(find(header), expected(value), line);
  }
});

const missing = peerMissing();
test('generated headers give what CGI::Cookie says', { skip: missing }, () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const headers = fc.sample(hostileHeader(), { seed, numRuns: 3_000 });
  const values = askPeer(headers);
  headers.forEach((header, i) => {
    assert.deepEqual(find(header), expected(values[i] ?? null), `seed ${seed}: ${JSON.stringify(header)}`);
  });
});

test('the peer for the differential run is here where it is required', () => {
  if (process.env.STEKBAL_REQUIRE_PEERS === '1') assert.equal(missing, false);
});

test('nothing outside of the value is read', () => {
  const header = `X-SERVERID=${ID}`;
  assert.deepEqual(find(header, NAME, 'X-SERVERID=0;', '0'), { id: ID });
  assert.equal(find('', NAME, '', header), 'absent');
  assert.equal(find('X-SERVERID=', NAME, '', ID), 'malformed');
});

test('whatever token the cookie is called, a client that returns it is known again', () => {
  const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/);
  fc.assert(
    fc.property(token, (name) => {
      assert.deepEqual(find(`=b; ${encodeCookieName(name)}=${ID}`, name), { id: ID });
    }),
    { examples: [['a%62'], ['a+b'], ['%'], ["!#$%&'*+.^_`|~-"]] },
  );
});

test('a cookie name is escaped as CGI::Cookie escapes it', () => {
  assert.equal(encodeCookieName('X-SERVERID'), 'X-SERVERID');
  assert.equal(encodeCookieName("a.b_c~d!#$%&'*+^`|"), 'a.b_c~d%21%23%24%25%26%27%2A%2B%5E%60%7C');
});

test('the attributes begin with the path and follow in a fixed order', () => {
  const none = { httpOnly: false, secure: false, sameSite: null, maxAgeS: null, domain: null, partitioned: false };
  assert.equal(renderCookieAttributes(none), '; path=/');
  const all = { httpOnly: true, secure: true, maxAgeS: 60, domain: 'a.example', partitioned: true };
  assert.equal(
    renderCookieAttributes({ ...all, sameSite: 'None' }),
    '; path=/; Domain=a.example; Max-Age=60; Secure; HttpOnly; SameSite=None; Partitioned',
  );
});

/** What `findAffinityId` makes of a Cookie header that stands between other bytes. */
function find(header: string, name = NAME, before = 'Cookie: ', after = '\r\n'): Found {
  const bytes = Buffer.from(before + header + after, 'latin1');
  const id = new Int32Array(ID_WORDS);
  const end = before.length + header.length;
  switch (findAffinityId(bytes, before.length, end, Buffer.from(name, 'latin1'), id)) {
    case COOKIE_ID:
      return { id: readIdWords(id, 0) };
    case COOKIE_MALFORMED:
      return 'malformed';
    case COOKIE_ABSENT:
      return 'absent';
  }
}

/** Our contract in terms of CGI::Cookie's value: an id is exactly 40 lower-case hex characters. */
function expected(value: string | null): Found {
  if (value === null) return 'absent';
  return /^[0-9a-f]{40}$/.test(value) ? { id: value } : 'malformed';
}

/** Headers near what matters: names and ids, now and then damaged, among all the bytes that a field value may hold. */
function hostileHeader(): fc.Arbitrary<string> {
  const escaped = (s: string) => fc.constantFrom('%', '%u00').map((e) => e + Buffer.from(s).toString('hex'));
  const damaged = (text: string) =>
    fc
      .nat(text.length - 1)
      .chain((at) =>
        fc
          .oneof(escaped(text.charAt(at)), fc.constantFrom('', '+', ' ', 'A', '%', '%0', '&', '=', '"', 'é'))
          .map((put) => text.slice(0, at) + put + text.slice(at + 1)),
      );
  const id = fc.constantFrom(ID, backendId('10.0.0.1:80'));
  const name = fc.oneof({ weight: 3, arbitrary: fc.constant(NAME) }, damaged(NAME), fc.constantFrom('a', '', '$Path'));
  const value = fc.oneof({ weight: 3, arbitrary: id }, id.chain(damaged), fc.constantFrom('', 'x', ' '), fieldBytes());
  const space = fc.constantFrom('', '', '', ' ', '\t', '  ');
  const equals = fc.constantFrom('=', '=', '=', '=', '', ' = ', '==');
  const pair = fc.tuple(space, name, equals, value, space).map((parts) => parts.join(''));
  const separator = fc.constantFrom('; ', ';', ',', ', ', '&', ' ', ';;');
  return fc
    .array(fc.tuple(fc.oneof({ weight: 5, arbitrary: pair }, fieldBytes()), separator), { maxLength: 4 })
    .map((pairs) => pairs.flat().slice(0, -1).join(''));
}

function fieldBytes(): fc.Arbitrary<string> {
  const byte = fc.integer({ min: 0x20, max: 0xff }).filter((c) => c !== 0x7f);
  return fc.array(byte, { maxLength: 12 }).map((codes) => String.fromCharCode(...codes));
}

function peerMissing(): string | false {
  const { status } = spawnSync('perl', ['-MCGI::Cookie', '-MJSON::PP', '-e', '1']);
  return status === 0 ? false : 'perl with CGI::Cookie is not on this machine';
}

function askPeer(headers: readonly string[]): (string | null)[] {
  const ascii = (s: string) => s.replace(/[\u0080-\u00ff]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`);
  const input = headers.map((h) => `${ascii(JSON.stringify(h))}\n`).join('');
  const { status, stdout, stderr } = spawnSync('perl', [PEER], { input, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as string | null);
}
