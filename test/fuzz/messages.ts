/** Arbitrary HTTP/1.1 messages by their grammar, mostly valid, as latin1 text (one character a byte). Test support. */

import fc from 'fast-check';
import { HOSTILE_LINES, mutate } from './mutations.ts';

const TOKEN_CHARS = [..."abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!#$%&'*+-.^_`|~"];
const TARGET_CHARS = [...'abcxyzABC0189-._~!$&\'()*+,;=:@%/?[]{}|<>"^`\\'];
const VALUE_CHARS = [...'abc XYZ019\t,;:="\\/-_()<>@?{}\x21\x7e\x80\xe9\xff'];
const HEX = [...'0123456789abcdefABCDEF'];

function textOf(chars: readonly string[], minLength: number, maxLength: number): fc.Arbitrary<string> {
  return fc.string({ unit: fc.constantFrom(...chars), minLength, maxLength });
}

const token = textOf(TOKEN_CHARS, 1, 12);
const whiteSpace = fc.constantFrom(' ', ' ', ' ', '', '\t', '  ', ' \t ');
const content = fc.oneof(
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)), maxLength: 40 }),
  fc.nat({ max: 600 }).map((length) => 'x'.repeat(length)),
  fc.constantFrom('hello', '0\r\n\r\n', '\r\n', 'GET /in-body HTTP/1.1\r\nHost: x\r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\n'),
);

const method = fc.oneof(
  { weight: 30, arbitrary: fc.constantFrom('GET', 'POST', 'HEAD', 'PUT', 'OPTIONS', 'DELETE', 'PATCH', 'M-SEARCH') },
  { weight: 1, arbitrary: fc.constantFrom('CONNECT', 'TRACE', 'QUERY', 'PRI', 'SOURCE', 'get') },
  { weight: 1, arbitrary: token },
);
const target = fc.oneof(
  { weight: 160, arbitrary: fc.constantFrom('/', '/a?b=c', '/a/../b', '/%00%0d%0a', '//x/y', '/?http://x/') },
  { weight: 80, arbitrary: textOf(TARGET_CHARS, 0, 30).map((path) => `/${path}`) },
  {
    weight: 40,
    arbitrary: fc.constantFrom(
      '*',
      'http://a.example/',
      'HTTP://a:80?x',
      'https://[::1]:443/b',
      'http://a',
      'a:80',
      '',
    ),
  },
  { weight: 40, arbitrary: textOf(TARGET_CHARS, 0, 12).map((rest) => `http://${rest}`) },
  { weight: 1, arbitrary: fc.integer({ min: 8_180, max: 8_200 }).map((length) => `/${'p'.repeat(length)}`) },
);
const version = fc.constantFrom(
  ...Array(40).fill('HTTP/1.1'),
  'HTTP/1.0',
  'HTTP/1.0',
  'HTTP/1.0',
  'HTTP/2.0',
  'HTTP/1.2',
);

const fieldName = fc.oneof(
  token,
  fc.constantFrom('Accept', 'Cookie', 'X-Forwarded-For', 'X-A', 'Trailer', 'TE', 'User-Agent', 'x~', 'Set-Cookie'),
);
const field = fc
  .tuple(fieldName, whiteSpace, textOf(VALUE_CHARS, 0, 20), fc.constantFrom('', '', '', ' ', '\t'))
  .map((parts) => `${parts[0]}:${parts[1]}${parts[2]}${parts[3]}\r\n`);
const connectionField = fc
  .array(
    fc.constantFrom('close', 'keep-alive', 'keep-alive', 'Upgrade', 'TE', 'x-a', 'x-b', 'cookie', 'Keep-Alive', ''),
    { maxLength: 3 },
  )
  .map((options) => `Connection: ${options.join(', ')}\r\n`);
const hostileField = fc.constantFrom(...HOSTILE_LINES).map((line) => `${line}\r\n`);
const upgradeFields = fc
  .constantFrom('websocket', 'h2c', 'foo/1, bar')
  .map((p) => `Upgrade: ${p}\r\nConnection: upgrade\r\n`);
const fieldLine = fc.oneof(
  { weight: 60, arbitrary: field },
  { weight: 4, arbitrary: connectionField },
  { weight: 1, arbitrary: hostileField },
);
/** Around the limits: 100 fields, 16 KiB. */
const manyFields = fc
  .tuple(fc.integer({ min: 90, max: 104 }), fc.constantFrom(0, 10, 150, 170))
  .map(([count, length]) => `X-Many: ${'v'.repeat(length)}\r\n`.repeat(count));
const fields = fc.oneof(
  { weight: 150, arbitrary: fc.array(fieldLine, { maxLength: 6 }).map((lines) => lines.join('')) },
  { weight: 1, arbitrary: manyFields },
);
const host = fc.constantFrom(...Array(30).fill('Host: a.example\r\n'), 'host:[::1]:80\r\n', 'Host: \r\n', '');

const extension = fc.oneof(
  { weight: 6, arbitrary: fc.constant('') },
  { weight: 1, arbitrary: token.map((name) => `;${name}`) },
  { weight: 1, arbitrary: fc.tuple(token, token).map(([name, value]) => `;${name}=${value}`) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(token, textOf(VALUE_CHARS, 0, 8))
      .map(([name, value]) => `;${name}="${value.replaceAll(/["\\]/g, '\\$&')}"`),
  },
);
const sizeFormat = fc.constantFrom(
  (n: number) => n.toString(16),
  (n: number) => n.toString(16).toUpperCase(),
  (n: number) => n.toString(16).padStart(4, '0'),
);
const chunk = fc
  .tuple(content, sizeFormat, extension)
  .map(([data, format, ext]) => (data === '' ? '' : `${format(data.length)}${ext}\r\n${data}\r\n`));
const chunkedBody = fc
  .tuple(
    fc.array(chunk, { maxLength: 4 }),
    fc.constantFrom('0', '0', '00'),
    extension,
    fc.array(field, { maxLength: 2 }),
  )
  .map(([chunks, last, ext, trailers]) => `${chunks.join('')}${last}${ext}\r\n${trailers.join('')}\r\n`);

/** The framing fields and the body that belongs to them. */
const framedBody = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ lines: '', body: '' }) },
  { weight: 3, arbitrary: content.map((body) => ({ lines: `Content-Length: ${body.length}\r\n`, body })) },
  { weight: 4, arbitrary: chunkedBody.map((body) => ({ lines: 'Transfer-Encoding: chunked\r\n', body })) },
);

const upgradeOrNone = fc.oneof({ weight: 12, arbitrary: fc.constant('') }, { weight: 1, arbitrary: upgradeFields });

export const request: fc.Arbitrary<string> = fc
  .record({ method, target, version, host, before: fields, upgrade: upgradeOrNone, framed: framedBody, after: fields })
  .map(
    (r) =>
      `${r.method} ${r.target} ${r.version}\r\n${r.host}${r.before}${r.upgrade}${r.framed.lines}${r.after}\r\n${r.framed.body}`,
  );

const status = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(200, 201, 204, 205, 206, 301, 304, 404, 426, 500, 503) },
  { weight: 1, arbitrary: fc.constantFrom(100, 101, 102, 103, 99, 0) },
  { weight: 1, arbitrary: fc.integer({ min: 100, max: 999 }) },
);
const reason = fc.oneof(
  fc.constantFrom(' OK', ' ', ''),
  textOf(VALUE_CHARS, 0, 10).map((text) => ` ${text}`),
);

const oneResponse = fc
  .record({ version, status, reason, before: fields, upgrade: upgradeOrNone, framed: framedBody, after: fields })
  .map(
    (r) =>
      `${r.version} ${String(r.status).padStart(3, '0')}${r.reason}\r\n${r.before}${r.upgrade}${r.framed.lines}${r.after}\r\n${r.framed.body}`,
  );
const interim = fc
  .tuple(fc.constantFrom(100, 102, 103), reason, fields)
  .map(([code, why, lines]) => `HTTP/1.1 ${code}${why}\r\n${lines}\r\n`);

/** Pipelined requests. */
export const requestStream: fc.Arbitrary<string> = fc
  .array(fc.tuple(request, fc.constantFrom('', '', '', '\r\n')), { minLength: 1, maxLength: 6 })
  .map((requests) => requests.map(([text, empty]) => empty + text).join(''));

/** Interim responses, a final one, and sometimes bytes behind it. */
export const responseStream: fc.Arbitrary<string> = fc
  .tuple(
    fc.array(interim, { maxLength: 2 }),
    oneResponse,
    fc.constantFrom('', '', '', 'x', '\r\n', 'HTTP/1.1 200 OK\r\n\r\n'),
  )
  .map(([interims, final, after]) => `${interims.join('')}${final}${after}`);

/** A chunked body alone; mutated as often as not. */
export const chunkedStream: fc.Arbitrary<string> = withMutants(chunkedBody);

/** Hexadecimal digits, for chunk sizes. */
export const hexDigits: fc.Arbitrary<string> = textOf(HEX, 1, 20);

/** `stream`, or `stream` with one to three mutations. */
export function withMutants(stream: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc
    .tuple(stream, fc.integer(), fc.constantFrom(0, 0, 1, 1, 2, 3))
    .map(([text, seed, count]) => mutate(text, seed, count));
}
