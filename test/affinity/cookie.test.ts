/**
 * The affinity cookie, read as CGI::Cookie->parse reads it: against a golden file that it made (test/golden/cookies.pl)
 * and, where Perl has it, against itself.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeCookieName, renderCookieAttributes } from '../../src/affinity/cookie.ts';
import { askPeer, expected, find, hostileHeader, ID, NAME, peerMissing } from './cookie-peer.ts';

const GOLDEN = readFileSync(new URL('../golden/cookies.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n');

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
