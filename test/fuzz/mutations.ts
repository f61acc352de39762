/** Damage to messages, of the kinds that smuggling is made of. Texts are latin1. Test support. */

import { Random } from './random.ts';

/** Lines that two servers have been known to read in two ways. */
export const HOSTILE_LINES = [
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: chunked, gzip',
  'Transfer-Encoding: chunked, chunked',
  'Transfer-Encoding: chunked,',
  'Transfer-Encoding: ,chunked',
  'Transfer-Encoding: "chunked"',
  'Transfer-Encoding: chunked;q=1',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding: chunkedx',
  'Transfer-Encoding: \x0bchunked',
  'Transfer-Encoding:\tchunked',
  'Transfer-Encoding:chunked \t',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding\t: chunked',
  ' Transfer-Encoding: chunked',
  '\tTransfer-Encoding: chunked',
  'Transfer-Encoding:\r\n chunked',
  'X: y\r\n Transfer-Encoding: chunked',
  'X: y\nTransfer-Encoding: chunked',
  'X: y\rTransfer-Encoding: chunked',
  'X: y\0\r\nTransfer-Encoding: chunked',
  'Transfer-Encoding',
  'Transfer-Encoding: ',
  'Transfer-Encoding: CHUNKED',
  'tRANSFER-eNCODING: chunKED',
  'Transfer_Encoding: chunked',
  'Transfer-Encoding\0: chunked',
  'Transfer-Encoding\x80: chunked',
  'Content-Length: 5',
  'Content-Length: 0',
  'Content-Length: +5',
  'Content-Length: -5',
  'Content-Length: 05',
  'Content-Length: 0x5',
  'Content-Length: 5,5',
  'Content-Length: 5, 6',
  'Content-Length: 5 5',
  'Content-Length: 5 \t',
  'Content-Length: \t5',
  'Content-Length:5',
  'Content-Length: 5.0',
  'Content-Length: 1e1',
  'Content-Length: "5"',
  'Content-Length: \xb25',
  'Content-Length: 99999999999999999999',
  'Content-Length: 18446744073709551621',
  'Content-Length: ',
  'Content-Length',
  'Content-Length : 5',
  'Content_Length: 5',
  'content-length: 3',
  'Host: other.example',
  'Host: ',
  'Host: a b',
  'Host: a/b',
  'Host: a@b',
  'Host: a,b',
  'Host : x',
  'Connection: close',
  'Connection: keep-alive',
  'Connection: Content-Length',
  'Connection: host, transfer-encoding',
  'Connection: close, x-a',
  'Connection: cookie',
  'Connection: x~',
  'Connection: upgrade',
  'Connection: ,,close,,',
  'Connection: "close"',
  'Proxy-Connection: close',
  'Keep-Alive: timeout=5',
  'Upgrade: websocket',
  'Upgrade: h2c',
  'Upgrade: ',
  'HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA',
  'Expect: 100-continue',
  'Expect: 200-ok',
  'TE: trailers',
  'Trailer: x-t',
  'X-Forwarded-For: 203.0.113.9',
  'X-Forwarded-Host: evil.example',
  'x-forwarded-proto: https',
  'Cookie: a=b',
  ':',
  ': x',
  'A',
  'A:',
  'A:b',
  '\0',
  '',
  'GET / HTTP/1.1',
];

const HOSTILE_BYTES = ['\r', '\n', '\r\n', '\0', ' ', '\t', ':', ',', ';', '=', '"', '\\', '0', 'a', 'f', '5']
  .concat(['\x0b', '\x0c', '\x7f', '\x80', '\x85', '\xa0', '\xff', '-', '+', '#', '/', '?', '*', 'x', '\r\n\r\n'])
  .concat(['0\r\n\r\n', '\r\n0\r\n\r\n', 'chunked', 'HTTP/1.0', 'HTTP/1.1']);

function cut(text: string, start: number, end: number, insert = ''): string {
  return text.slice(0, start) + insert + text.slice(end);
}

/** Start and end (past the line end) of a line of `text`. */
function lineOf(text: string, random: Random): [number, number] {
  const at = random.below(text.length);
  const start = text.lastIndexOf('\n', at - 1) + 1;
  const end = text.indexOf('\n', at);
  return [start, end < 0 ? text.length : end + 1];
}

/** Where a line of a head could stand: behind a line end. */
function lineStart(text: string, random: Random): number {
  const end = text.indexOf('\n', random.below(text.length));
  return end < 0 ? text.length : end + 1;
}

/** What messages are held together by. */
const STRUCTURE = ['\r', '\n', '\0', ' ', '\t', ':', ';', ',', '=', '"', '0', '1', '9', '/', '\r\n'];
const IS_STRUCTURE = /[\r\n\0 \t:;,=/"0-9]/;
/** Around the limits of a target and a head, of chunk extensions and of a trailer section. */
const FILLS = [1_000, 4_090, 8_180, 8_192, 16_370, 16_400];
const REPEATED_MAX = 20_000;

/** Where such a byte stands, from a random place on. */
function structureFrom(text: string, random: Random): number {
  const from = random.below(text.length);
  const found = text.slice(from).search(IS_STRUCTURE);
  return found < 0 ? from : from + found;
}

/** The beginning of `text`, and the end of `other`: cut at lines as often as not. */
export function splice(text: string, other: string, random: Random): string {
  if (text === '' || other === '') return text;
  const place = (of: string) => (random.below(2) === 0 ? lineStart(of, random) : random.below(of.length));
  return text.slice(0, place(text)) + other.slice(place(other));
}

const MUTATIONS: readonly ((text: string, random: Random) => string)[] = [
  function flipByte(text, random) {
    const at = random.below(text.length);
    return cut(text, at, at + 1, String.fromCharCode(text.charCodeAt(at) ^ (1 << random.below(8))));
  },
  function replaceByte(text, random) {
    const at = random.below(text.length);
    return cut(text, at, at + 1, String.fromCharCode(random.below(256)));
  },
  function insertBytes(text, random) {
    const at = random.below(text.length + 1);
    return cut(text, at, at, random.pick(HOSTILE_BYTES));
  },
  function insertInLineEnd(text, random) {
    const at = lineStart(text, random) - random.below(3);
    return cut(text, Math.max(at, 0), Math.max(at, 0), random.pick(HOSTILE_BYTES));
  },
  function insertAtValue(text, random) {
    const at = text.indexOf(':', random.below(text.length)) + random.below(3);
    return cut(text, at, at, random.pick(HOSTILE_BYTES));
  },
  function deleteBytes(text, random) {
    const at = random.below(text.length);
    return cut(text, at, at + 1 + random.below(random.below(4) === 0 ? 20 : 2));
  },
  function insertLine(text, random) {
    const at = lineStart(text, random);
    return cut(text, at, at, `${random.pick(HOSTILE_LINES)}\r\n`);
  },
  function insertLineInHead(text, random) {
    const at = text.indexOf('\n') + 1;
    return cut(text, at, at, `${random.pick(HOSTILE_LINES)}\r\n`);
  },
  function replaceLine(text, random) {
    const [start, end] = lineOf(text, random);
    return cut(text, start, end, `${random.pick(HOSTILE_LINES)}\r\n`);
  },
  function duplicateLine(text, random) {
    const [start, end] = lineOf(text, random);
    return cut(text, start, start, text.slice(start, end));
  },
  function deleteLine(text, random) {
    const [start, end] = lineOf(text, random);
    return cut(text, start, end);
  },
  function moveLine(text, random) {
    const [start, end] = lineOf(text, random);
    const rest = cut(text, start, end);
    const at = rest === '' ? 0 : lineStart(rest, random);
    return cut(rest, at, at, text.slice(start, end));
  },
  function changeLineEnd(text, random) {
    const at = text.indexOf('\r\n', random.below(text.length));
    return at < 0 ? text : cut(text, at, at + 2, random.pick(['\n', '\r', '\r\r\n', '\n\r', '\r\n ', '', ' \r\n']));
  },
  function changeNumber(text, random) {
    const match = /[0-9a-f]+(?=[\r;])/g;
    match.lastIndex = random.below(text.length);
    const found = match.exec(text);
    if (found === null) return text;
    const number = found[0];
    const other = [`0${number}`, `+${number}`, `-${number}`, `0x${number}`, `${number} `, `${number},${number}`]
      .concat([`${number}0`, number.slice(1), `${number}${'0'.repeat(16)}`, '00', '0', '1', 'ffffffffffffffff'])
      .concat([`${'0'.repeat(20)}${number}`, `${number};`, `${number};a=`, `${number};a="\r\n"`, `${number}; a`]);
    return cut(text, found.index, found.index + number.length, random.pick(other));
  },
  function swapCase(text, random) {
    const at = random.below(text.length);
    const part = text.slice(at, at + 8);
    return cut(text, at, at + 8, random.below(2) === 0 ? part.toUpperCase() : part.toLowerCase());
  },
  function insertAtStructure(text, random) {
    const at = structureFrom(text, random) + random.below(2);
    return cut(text, at, at, random.pick(STRUCTURE));
  },
  function replaceAtStructure(text, random) {
    const at = structureFrom(text, random);
    return cut(text, at, at + 1, random.pick(STRUCTURE));
  },
  function deleteAtStructure(text, random) {
    const at = structureFrom(text, random);
    return cut(text, at, at + 1);
  },
  function duplicateAtStructure(text, random) {
    const at = structureFrom(text, random);
    return cut(text, at, at, text.charAt(at).repeat(1 + random.below(3)));
  },
  function swapAtStructure(text, random) {
    const at = structureFrom(text, random);
    return cut(text, at, at + 2, text.charAt(at + 1) + text.charAt(at));
  },
  function swapLines(text, random) {
    const [start, end] = lineOf(text, random);
    const next = text.indexOf('\n', end);
    return next < 0 ? text : cut(text, start, next + 1, text.slice(end, next + 1) + text.slice(start, end));
  },
  function foldLine(text, random) {
    const at = text.indexOf(' ', random.below(text.length));
    return at < 0 ? text : cut(text, at, at, random.pick(['\r\n', '\n', '\r', '\r\n\t', '\r\n ']));
  },
  function changeDigit(text, random) {
    const from = random.below(text.length);
    const at = text.slice(from).search(/[0-9a-fA-F]/) + from;
    return at < from ? text : cut(text, at, at + 1, random.pick([...'0123456789afAFgx+-']));
  },
  function repeatPart(text, random) {
    const at = random.below(text.length);
    const part = text.slice(at, at + 1 + random.below(60));
    return text.length > REPEATED_MAX ? text : cut(text, at, at, part.repeat(1 + random.below(12)));
  },
  function fillLine(text, random) {
    const [start, end] = lineOf(text, random);
    const colon = text.indexOf(':', start);
    const at = colon < 0 || colon > end ? start : colon + 1;
    return random.below(8) > 0
      ? text
      : cut(text, at, at, random.pick(['a', ' ', '\xff', '%']).repeat(random.pick(FILLS)));
  },
  function truncate(text, random) {
    return text.slice(0, random.below(text.length) + 1);
  },
];

/** `text` with `count` mutations. */
export function mutate(text: string, seed: number, count: number): string {
  const random = new Random(seed);
  let mutated = text;
  for (let i = 0; i < count && mutated !== ''; i++) mutated = random.pick(MUTATIONS)(mutated, random);
  // latin1 letters like U+00FF have upper cases beyond a byte
  return Buffer.from(mutated, 'latin1').toString('latin1');
}
