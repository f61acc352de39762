/** Where the faults of a file are said to be: always in the file, and behind text that cannot be parsed too. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DiagnosticList } from '../../src/config/diagnostics.ts';
import { LineIndex } from '../../src/config/line-index.ts';
import { parseYamlSource } from '../../src/config/source.ts';

function faultsOf(text: string): string[] {
  const diagnostics = new DiagnosticList();
  parseYamlSource('x', text, diagnostics);
  return diagnostics.sorted().map(({ line, column, message }) => `${line}:${column}: ${message}`);
}

test('behind a plain scalar of several lines that is a fault, the lines still count', () => {
  assert.ok(faultsOf('.\n#\nT\n1:').some((fault) => fault.startsWith('4:2: ')));
  assert.match(faultsOf('*0\ne: :').join(), /2:\d: /);
  assert.ok(faultsOf('a: 1\n b\n c\nd: 2\nd: 3\n').some((fault) => fault.startsWith('5:1: ')));
});

test('what the parser quotes of a file is cut short', () => {
  const [fault = ''] = faultsOf(`a: 1\n${'?'.repeat(20_000)}\n b: c\n`);
  assert.ok(fault.length < 400, fault.slice(0, 500));
});

test('values that a tag has made stand where the nearest thing around them does', () => {
  for (const tag of ['!!omap', '!!set', '!!pairs']) {
    for (const value of [`${tag} [1]`, `${tag} [a: 1]`, `${tag} {a, b}`]) {
      const diagnostics = new DiagnosticList();
      const source = parseYamlSource('x', `a:\n  b: ${value}\n`, diagnostics);
      for (const path of [
        ['a', 'b', 0],
        ['a', 'b', 'a'],
        ['a', 'b', 0, 'a'],
      ]) {
        assert.ok((source?.locate(path).line ?? 0) >= 1);
        assert.ok((source?.locateKey(path).line ?? 0) >= 1);
      }
    }
  }
});

test('a place is the number of line ends before it, and what follows the last of them', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', '\n', '\r\n', '\u{1f4a9}'), maxLength: 60 }),
      fc.nat(70),
      (text, at) => {
        const offset = Math.min(at, text.length);
        const lines = text.slice(0, offset).split('\n');
        assert.deepEqual(new LineIndex(text).placeOf(offset), {
          line: lines.length,
          column: (lines.at(-1) as string).length + 1,
        });
      },
    ),
  );
});
