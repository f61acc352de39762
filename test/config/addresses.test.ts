/** Addresses: where to listen, where a node is, which host a rule is for. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLocalAddress, parseHostPattern, parseListenAddress, parseNodeAddress } from '../../src/config/addresses.ts';
import { formatListenAddress } from '../../src/config/config.ts';

test('a listen address is read in each of its forms, and written back the same', () => {
  const forms = ['0.0.0.0:80', '[::]:443', '[fe80::1%eth0]:80', 'localhost:0', 'unix:/run/a.sock', 'fd:web'];
  for (const form of forms) {
    const address = parseListenAddress(form);
    assert.ok(address.ok, form);
    assert.equal(formatListenAddress(address.value), form);
  }
});

test('a listen address without host or port is refused', () => {
  for (const raw of ['80', 80, ':80', '*:80', '127.0.0.1', 'localhost', '::1', '[::1]', '', null]) {
    assert.equal(parseListenAddress(raw).ok, false, String(raw));
  }
});

test('a unix path longer than the kernel takes is refused', () => {
  assert.ok(parseListenAddress(`unix:/${'a'.repeat(106)}`).ok);
  assert.equal(parseListenAddress(`unix:/${'a'.repeat(107)}`).ok, false);
  // beside it the socket is bound under a name of 7 bytes
  assert.ok(parseListenAddress(`unix:/${'a'.repeat(98)}/s`).ok);
  const result = parseListenAddress(`unix:/${'a'.repeat(99)}/s`);
  assert.match(result.ok ? '' : result.message, /folder of the socket has 100 bytes; it may have at most 99/);
});

test('a node is canonical: port 80 when left out, names in lower case, IPv6 in its shortest form', () => {
  const canonical = {
    '10.0.0.1': '10.0.0.1:80',
    '10.0.0.1:8080': '10.0.0.1:8080',
    'App.Internal:8080': 'app.internal:8080',
    '[::1]': '[::1]:80',
    '[0:0:0:0:0:0:0:1]:81': '[::1]:81',
    '[2001:DB8::A]:80': '[2001:db8::a]:80',
  };
  for (const [raw, address] of Object.entries(canonical)) {
    const node = parseNodeAddress(raw);
    assert.ok(node.ok, raw);
    assert.equal(node.value.address, address);
  }
  assert.deepEqual(parseNodeAddress('[::1]:81'), { ok: true, value: { address: '[::1]:81', host: '::1', port: 81 } });
});

test('a node that nothing could connect to is refused', () => {
  const wrong = [
    '10.0.0.300',
    '10.0.0',
    '010.0.0.1',
    '::1',
    '10.0.0.1:0',
    '10.0.0.1:65536',
    '10.0.0.1:',
    ':80',
    '-a:80',
  ];
  for (const raw of [...wrong, 'a b:80', 'http://a:80', '10.0.0.1:8x', '[10.0.0.1]:80', '', 80, null]) {
    assert.equal(parseNodeAddress(raw).ok, false, String(raw));
  }
});

test('a host pattern is lower-cased, and a wildcard is its first label', () => {
  assert.deepEqual(parseHostPattern('A.Example'), { ok: true, value: 'a.example' });
  assert.deepEqual(parseHostPattern('*.B.example'), { ok: true, value: '*.b.example' });
  assert.deepEqual(parseHostPattern('[0::1]'), { ok: true, value: '[::1]' });
  for (const raw of ['*', '*.', 'a.*.example', '*a.example', 'a.example:80', 'a..b', 'a/b', '.a', '']) {
    assert.equal(parseHostPattern(raw).ok, false, raw);
  }
});

test('only loopback and unix addresses are local', () => {
  const local = ['127.0.0.1:1', '127.9.9.9:1', '[::1]:1', 'localhost:1', 'unix:/a'];
  const open = ['0.0.0.0:1', '[::]:1', '10.0.0.1:1', 'fd:admin', '127.example:1'];
  for (const form of [...local, ...open]) {
    const address = parseListenAddress(form);
    assert.ok(address.ok, form);
    assert.equal(isLocalAddress(address.value), local.includes(form), form);
  }
});
