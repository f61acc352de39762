/** The affinity cookie as we read it, and as CGI::Cookie does (test/golden/cookies.pl). Test support. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { backendId, ID_WORDS, readIdWords } from '../../src/affinity/backend-id.ts';
import { COOKIE_ABSENT, COOKIE_ID, COOKIE_MALFORMED, findAffinityId } from '../../src/affinity/cookie.ts';

export const ID = 'da39a3ee5e6b4b0d3255bfef95601890afd80709';
export const NAME = 'X-SERVERID';
const PEER = fileURLToPath(new URL('../golden/cookies.pl', import.meta.url));

export type Found = 'absent' | 'malformed' | { id: string };

/** What `findAffinityId` makes of a Cookie header that stands between other bytes. */
export function find(header: string, name = NAME, before = 'Cookie: ', after = '\r\n'): Found {
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
export function expected(value: string | null): Found {
  if (value === null) return 'absent';
  return /^[0-9a-f]{40}$/.test(value) ? { id: value } : 'malformed';
}

/** Headers near what matters: names and ids, now and then damaged, among all the bytes that a field value may hold. */
export function hostileHeader(): fc.Arbitrary<string> {
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

export function peerMissing(): string | false {
  const { status } = spawnSync('perl', ['-MCGI::Cookie', '-MJSON::PP', '-e', '1']);
  return status === 0 ? false : 'perl with CGI::Cookie is not on this machine';
}

export function askPeer(headers: readonly string[]): (string | null)[] {
  const ascii = (s: string) => s.replace(/[\u0080-\u00ff]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`);
  const input = headers.map((h) => `${ascii(JSON.stringify(h))}\n`).join('');
  const { status, stdout, stderr } = spawnSync('perl', [PEER], { input, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as string | null);
}
