/** The Connection field (RFC 9110 section 7.6.1). */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionOptions } from '../../../workers/http1/connection-options.ts';
import { FieldTable } from '../../../workers/http1/fields.ts';
import { parseRequest, requestWith } from '../../fuzz/parse.ts';

function optionsOf(...values: string[]): ConnectionOptions {
  const options = new ConnectionOptions();
  for (const value of values) {
    const bytes = Buffer.from(value, 'latin1');
    options.add(bytes, 0, bytes.length);
  }
  return options;
}

/** Names of the fields that are left of `lines` where Connection is `value`. */
function keptOf(value: string, lines: readonly string[]): string[] {
  const { head, bytes } = parseRequest(requestWith([`Connection: ${value}`, ...lines]));
  const { fields } = head;
  return Array.from({ length: fields.count }, (_, i) =>
    fields.isDropped(i) ? [] : [bytes.toString('latin1', fields.start(i), fields.nameEnd(i))],
  ).flat();
}

test('close, keep-alive and upgrade are known in any letter case, alone or in a list', () => {
  const flags = ({ close, keepAlive, upgrade, malformed }: ConnectionOptions) => [close, keepAlive, upgrade, malformed];
  assert.deepEqual(flags(optionsOf('close')), [true, false, false, false]);
  assert.deepEqual(flags(optionsOf('Keep-Alive')), [false, true, false, false]);
  assert.deepEqual(flags(optionsOf('UPGRADE')), [false, false, true, false]);
  assert.deepEqual(flags(optionsOf('keep-alive, Upgrade ,\tCLOSE,')), [true, true, true, false]);
  assert.deepEqual(flags(optionsOf('keep-alive', 'close')), [true, true, false, false]);
  assert.deepEqual(flags(optionsOf('')), [false, false, false, false]);
  assert.deepEqual(flags(optionsOf('closed, xkeep-alive, upgrade/1')), [false, false, false, true]);
});

test('each protected field makes it malformed, in any letter case', () => {
  for (const name of ['Content-Length', 'HOST', 'transfer-encoding', 'Connection']) {
    assert(optionsOf(name).malformed, name);
    assert(optionsOf(`close, ${name}`).malformed, name);
  }
  for (const name of ['content-lengthx', 'xhost', 'content_length']) assert(!optionsOf(name).malformed, name);
});

test('what is no token makes it malformed', () => {
  for (const value of ['"close"', 'a b', 'close;q=1', 'a=b', 'x\xff', '(c)']) assert(optionsOf(value).malformed, value);
});

test('every line of a nominated name is dropped, in any letter case, and no other', () => {
  const lines = ['X-A: 1', 'x-a: 2', 'X-AB: 3', 'X-: 4'];
  assert.deepEqual(keptOf('x-A', lines), ['Host', 'X-AB', 'X-']);
  assert.deepEqual(keptOf('x-ab, nothing, x-', lines), ['Host', 'X-A', 'x-a']);
});

test('a nominated name of other bytes than letters means itself alone', () => {
  // the bit that tells capital letters from small ones tells '^' from '~' too
  assert.deepEqual(keptOf('x~', ['x^: 1', 'x~: 2']), ['Host', 'x^']);
  assert.deepEqual(keptOf('x^', ['x^: 1', 'x~: 2']), ['Host', 'x~']);
  assert.deepEqual(keptOf('x|', ['x_: 1', 'x`: 2']), ['Host', 'x_', 'x`']);
});

test('nothing is left of one message for the next', () => {
  const options = optionsOf('close, keep-alive, upgrade, x-a, host');
  options.reset();
  assert.deepEqual(
    [options.close, options.keepAlive, options.upgrade, options.malformed],
    [false, false, false, false],
  );
  const bytes = Buffer.from('X-A: 1\r\n\r\n');
  const table = new FieldTable(2);
  table.scan(bytes, 0, bytes.length);
  options.dropNominated(bytes, table);
  assert.equal(table.dropped, 0);
});

test('a Connection field may name so many fields and no more: each is looked for among all', () => {
  const names = (count: number) => Array.from({ length: count }, (_, i) => `x${i}`).join(',');
  assert.equal(optionsOf(names(32)).malformed, false);
  assert.equal(optionsOf(names(33)).malformed, true);
  assert.equal(optionsOf(names(20), names(20)).malformed, true);
});
