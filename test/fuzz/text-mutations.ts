/** Damage to configuration files: of any text, of YAML, of Perlbal's lines. Test support. */

import type { Random } from './random.ts';

type Mutation = (text: string, random: Random) => string;

/** A file that is larger is only made smaller. */
const CHARS_MAX = 400_000;

const SCALARS = [
  ...['', '~', 'null', 'yes', 'no', 'true', 'on', '0', '-1', '1e309', '.inf', '.nan', '0x1F', '0o17', '1_000', '-0'],
  ...['9007199254740993', '1'.repeat(400), '30s', '-30s', '1e9h', '16KiB', '999999999GiB', '0.5s', '12:30:45'],
  ...['127.0.0.1:80', '[::1]:99999', 'unix:/', 'fd:', 'fd:x', 'a:b:c', '*', '"*.x"', 'http://a', '\u212a\u017f'],
  ...['"\\x00"', '"\\uD800"', '"\\U0010FFFF"', "'''", '"\\"', '!!binary aGk=', '!!int x', '!!js/function "x"', '!x y'],
  ...['!!set {a}', '!!omap [a: 1]', '2001-12-14', '<<', '__proto__', 'constructor', 'toString', '{}', '[]', '[[]]'],
  ...['{a: {b: {c: d}}}', '[1, [2, [3]]]', '&x y', '*x', '*y', '|', '>', '|\n  a\n  b', '? a', '- b', '@', '`', '%'],
];
const KEYS = [
  ...['listeners', 'pools', 'services', 'stek_share', 'admin', 'workers', 'tls', 'certificates', 'nodes', 'address'],
  ...['limits', 'hosts', 'pool', 'role', 'health_check', 'ticket_keys', 'state_dir', 'affinity', 'server_id', 'weight'],
  ...['__proto__', 'constructor', '<<', '""', '~', '? [a]', 'é', '\ufeff', 'a b', '123', '!!str x', '&k key', '*k'],
];
const ODD_CHARS = [
  '\ufeff',
  '\u0085',
  '\u2028',
  '\u2029',
  '\u202e',
  '\u200b',
  '\0',
  '\x07',
  '\x7f',
  '\ud800',
  '\udc00',
].concat(['\u{1f4a9}', '\u0301', '\u00a0', '\t', '\r', '\r\n', '\f', '\v', '\ufffd', '\uffff']);
const INDICATORS = [...':-?,[]{}#&*!|>\'"%@`', '\n', ' ', '  ', '\t', '---\n', '...\n', '%YAML 1.1\n---\n'];

function cut(text: string, start: number, end: number, insert = ''): string {
  return text.slice(0, start) + insert + text.slice(end);
}

function lineAt(text: string, random: Random): [start: number, end: number] {
  const at = random.below(text.length + 1);
  const start = at === 0 ? 0 : text.lastIndexOf('\n', at - 1) + 1;
  const end = text.indexOf('\n', at);
  return [start, end < 0 ? text.length : end + 1];
}

function indentOf(text: string, start: number): string {
  return /^[ \t]*(?:- )?/.exec(text.slice(start, start + 80))?.[0].replace('-', ' ') ?? '';
}

const ANY_TEXT: readonly Mutation[] = [
  function flipChar(text, random) {
    const at = random.below(text.length);
    return cut(text, at, at + 1, String.fromCharCode(text.charCodeAt(at) ^ (1 << random.below(8))));
  },
  function insertOdd(text, random) {
    const at = random.below(text.length + 1);
    return cut(text, at, at, random.pick(ODD_CHARS));
  },
  function deleteChars(text, random) {
    const at = random.below(text.length);
    return cut(text, at, at + 1 + random.below(random.pick([2, 20, 200])));
  },
  function duplicateLine(text, random) {
    const [start, end] = lineAt(text, random);
    return cut(text, start, start, text.slice(start, end).repeat(random.pick([1, 1, 2, 50])));
  },
  function deleteLine(text, random) {
    const [start, end] = lineAt(text, random);
    return cut(text, start, end);
  },
  function moveLine(text, random) {
    const [start, end] = lineAt(text, random);
    const rest = cut(text, start, end);
    const [at] = lineAt(rest, random);
    return cut(rest, at, at, text.slice(start, end));
  },
  function joinLines(text, random) {
    const [, end] = lineAt(text, random);
    return cut(text, end - 1, end, random.pick([' ', '']));
  },
  function truncate(text, random) {
    return text.slice(0, random.below(text.length + 1));
  },
  function longRun(text, random) {
    if (text.length > CHARS_MAX || random.below(6) > 0) return text;
    const at = random.below(text.length + 1);
    const part = random.pick(['a', ' ', '\n', '\t', '-', '[', '{', '"', '#', '\u00e9', '\u{1f4a9}', ': ', '- ', '\r']);
    return cut(text, at, at, part.repeat(random.pick([100, 3_000, 30_000])));
  },
  function otherLineEnds(text, random) {
    return random.below(4) > 0 ? text : text.replaceAll('\n', random.pick(['\r\n', '\r', '\n\r', '\u2028']));
  },
];

const YAML: readonly Mutation[] = [
  function replaceValue(text, random) {
    const [start, end] = lineAt(text, random);
    const colon = text.indexOf(': ', start);
    return colon < 0 || colon >= end ? text : cut(text, colon + 2, end, `${random.pick(SCALARS)}\n`);
  },
  function replaceKey(text, random) {
    const [start, end] = lineAt(text, random);
    const key = /[\w"']+(?=:)/.exec(text.slice(start, end));
    return key === null ? text : cut(text, start + key.index, start + key.index + key[0].length, random.pick(KEYS));
  },
  function insertKey(text, random) {
    const [start] = lineAt(text, random);
    return cut(text, start, start, `${indentOf(text, start)}${random.pick(KEYS)}: ${random.pick(SCALARS)}\n`);
  },
  function insertUnknownKey(text, random) {
    const [start] = lineAt(text, random);
    return cut(text, start, start, `${indentOf(text, start)}zq${random.below(1_000)}: 1\n`);
  },
  function insertUnknownFlowKey(text, random) {
    const at = text.indexOf('{', random.below(text.length)) + 1;
    return at === 0 ? text : cut(text, at, at, `zq${random.below(1_000)}: 1, `);
  },
  function insertItem(text, random) {
    const [start] = lineAt(text, random);
    return cut(text, start, start, `${indentOf(text, start)}- ${random.pick(SCALARS)}\n`);
  },
  function insertIndicator(text, random) {
    const at = random.below(text.length + 1);
    return cut(text, at, at, random.pick(INDICATORS));
  },
  function anchor(text, random) {
    const at = text.indexOf(': ', random.below(text.length)) + 2;
    return at < 2 ? text : cut(text, at, at, `${random.pick(['&a', '&b', '*a', '*b', '&a &b', '!!str', '!x'])} `);
  },
  function indent(text, random) {
    const [start, end] = lineAt(text, random);
    return random.below(2) === 0
      ? cut(text, start, start, random.pick([' ', '  ', '\t']))
      : cut(text, start, Math.min(start + 1 + random.below(3), end));
  },
  function bomb(text, random) {
    if (random.below(6) > 0) return text;
    const width = random.pick([2, 9, 100]);
    const levels = Array.from({ length: random.pick([4, 9, 30]) }, (_, i) => {
      return `l${i + 1}: &l${i + 1} [${Array(width).fill(`*l${i}`).join(', ')}]\n`;
    });
    const at = lineAt(text, random)[0];
    return cut(text, at, at, `l0: &l0 [x, y]\n${levels.join('')}`);
  },
  function cycle(text, random) {
    const at = lineAt(text, random)[0];
    return cut(
      text,
      at,
      at,
      random.pick(['pools: &p {a: *p}\n', 'x: &x [*x]\n', '&y y: *y\n', 'services: &s\n  a: *s\n']),
    );
  },
  function nest(text, random) {
    if (random.below(4) > 0) return text;
    const depth = random.pick([10, 66, 1_000, 20_000]);
    const [open, close] = random.pick([
      ['[', ']'],
      ['{a: ', '}'],
      ['- ', ''],
      ['? ', ''],
      ['a:\n ', ''],
      ['!!seq [', ']'],
    ]);
    const at = random.below(2) === 0 ? lineAt(text, random)[0] : text.indexOf(': ', random.below(text.length)) + 2;
    return cut(text, at, at, open.repeat(depth) + (random.below(2) === 0 ? close.repeat(depth) : ''));
  },
  function copyBlock(text, random) {
    const [start] = lineAt(text, random);
    const [, end] = lineAt(text, random);
    const at = lineAt(text, random)[0];
    return text.length > CHARS_MAX || end <= start ? text : cut(text, at, at, text.slice(start, end));
  },
];

const PERLBAL_WORDS = [
  ...['CREATE POOL', 'CREATE SERVICE', 'POOL', 'ADD', 'REMOVE', 'SET', 'ENABLE', 'DISABLE', 'USE', 'LOAD', 'VHOST'],
  ...['VPATH', 'INCLUDE =', 'DEFAULT', 'SERVER', 'XS', 'role', 'reverse_proxy', 'selector', 'plugins', 'nodefile'],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: what Perlbal expands
  ...['listen', 'affinity_salt', 'affinity_use_domain', '${ip:eth0}', '$x', '=', ' = ', '#', '*', '10.0.0.1', ':80'],
  ...['persist_client', 'verify_backend', 'balance_method', 'enable_ssl', 'ssl_cert_file', 'nodelist.dat', 'loop.conf'],
];

const PERLBAL: readonly Mutation[] = [
  function insertWord(text, random) {
    const at = random.below(text.length + 1);
    return cut(text, at, at, ` ${random.pick(PERLBAL_WORDS)} `);
  },
  function insertLine(text, random) {
    const at = lineAt(text, random)[0];
    const words = Array.from({ length: 1 + random.below(5) }, () => random.pick([...PERLBAL_WORDS, ...SCALARS]));
    return cut(text, at, at, `${words.join(' ')}\n`);
  },
  function replaceSetting(text, random) {
    const [start, end] = lineAt(text, random);
    const at = text.indexOf('=', start);
    return at < 0 || at >= end ? text : cut(text, at + 1, end, ` ${random.pick(SCALARS)}\n`);
  },
  function swapWords(text, random) {
    const [start, end] = lineAt(text, random);
    return cut(text, start, end, `${text.slice(start, end).trim().split(' ').reverse().join(' ')}\n`);
  },
];

const DIALECTS = { yaml: [...YAML, ...ANY_TEXT], perlbal: [...PERLBAL, ...PERLBAL, ...ANY_TEXT] };
export type Dialect = keyof typeof DIALECTS;

/** `text` with `count` mutations. May hold half surrogates. */
export function mutateText(text: string, dialect: Dialect, random: Random, count: number): string {
  let mutated = text;
  for (let i = 0; i < count && mutated !== ''; i++) mutated = random.pick(DIALECTS[dialect])(mutated, random);
  return mutated;
}

/** As a file would hold it, sometimes with bytes that are no UTF-8. */
export function bytesOf(text: string, random: Random): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length > 0 && random.below(20) === 0) bytes[random.below(bytes.length)] = 0x80 | random.below(128);
  return bytes;
}
