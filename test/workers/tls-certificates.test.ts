/** Which certificates a server name leads to, and what tells their groups apart. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CertificateSettings } from '../../src/boards/listener-task.ts';
import { CertificateGroups } from '../../workers/tls-certificates.ts';

test('a name leads to the certificate that has it, then to the wildcard one label above, else to the first', () => {
  const groups = new CertificateGroups([
    fake('first', ['first.example']),
    fake('exact', ['a.b.example']),
    fake('wild', ['*.b.example']),
    fake('deep', ['*.c.b.example', 'c.b.example']),
  ]);
  for (const [name, expected] of [
    ['first.example', 'first'],
    ['a.b.example', 'exact'],
    ['x.b.example', 'wild'],
    ['c.b.example', 'deep'],
    ['x.c.b.example', 'deep'],
    ['b.example', 'first'],
    ['x.a.b.example', 'first'],
    ['x.y.c.b.example', 'first'],
    ['.b.example', 'first'],
    ['*.b.example', 'wild'],
    ['', 'first'],
    ['elsewhere', 'first'],
  ] as const) {
    assert.deepEqual(shown(groups, name), [expected], name);
  }
});

test('certificates of different types for a name are shown side by side, one of each type, in the order of the file', () => {
  const groups = new CertificateGroups([
    fake('rsa', ['a.example'], 'rsa'),
    fake('ec', ['a.example', 'b.example'], 'ec'),
    fake('ec too', ['a.example', 'c.example'], 'ec'),
    fake('rsa wide', ['b.example', 'd.example'], 'rsa'),
  ]);
  assert.deepEqual(shown(groups, 'a.example'), ['rsa', 'ec']);
  assert.deepEqual(shown(groups, 'b.example'), ['ec', 'rsa wide']);
  assert.deepEqual(shown(groups, 'c.example'), ['ec too']);
  assert.deepEqual(shown(groups, 'd.example'), ['rsa wide']);
});

test('by default the first is shown with those of other types that have all of its names', () => {
  const first = fake('first', ['a.example', 'b.example'], 'rsa');
  const half = fake('half', ['a.example'], 'ec');
  const full = fake('full', ['b.example', 'a.example', 'c.example'], 'ec');
  assert.deepEqual(shown(new CertificateGroups([first, half]), ''), ['first']);
  assert.deepEqual(shown(new CertificateGroups([first, half, full]), ''), ['first', 'full']);
  const nameless = fake('nameless', [], 'ec');
  assert.deepEqual(shown(new CertificateGroups([nameless, first]), ''), ['nameless']);
});

test('groups of the same certificates are one group, whatever name led there', () => {
  const groups = new CertificateGroups([fake('one', ['a.example', '*.a.example']), fake('two', ['b.example'])]);
  assert.equal(groups.find('a.example'), groups.find('x.a.example'));
  assert.equal(groups.find('a.example'), groups.fallback);
  assert.notEqual(groups.find('b.example'), groups.fallback);
});

test('a tag depends on the names alone: not on their order, the keys, or what else is served', () => {
  const tag = (...certificates: CertificateSettings[]) => new CertificateGroups(certificates).find('a.example').tag;
  const expected = tag(fake('one', ['a.example', 'b.example']));
  assert.equal(tag(fake('other', ['b.example', 'a.example'], 'rsa')), expected);
  assert.equal(tag(fake('else', ['c.example']), fake('one', ['a.example', 'b.example'])), expected);
  assert.notEqual(tag(fake('one', ['a.example'])), expected);
  assert.notEqual(tag(fake('one', ['a.example', 'b.example', 'c.example'])), expected);
});

test('tags are the 32-bit FNV-1a of the sorted names, so that all machines of a fleet agree', () => {
  // the hash's published test vectors
  assert.equal(new CertificateGroups([fake('', [])]).fallback.tag >>> 0, 0x811c9dc5);
  assert.equal(new CertificateGroups([fake('', ['foobar'])]).fallback.tag >>> 0, 0xbf9cf968);
});

function fake(cert: string, names: readonly string[], keyType = 'ec'): CertificateSettings {
  return { cert, key: '', names, keyType };
}

function shown(groups: CertificateGroups, name: string): string[] {
  return groups.find(name).certificates.map(({ cert }) => cert);
}
