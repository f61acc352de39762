/** RFC 9112 section 6: Content-Length and Transfer-Encoding, alone and against one another; and smuggling by them. */

import {
  type Case,
  chunked,
  type Expectation,
  forwarded,
  get,
  group,
  post,
  refused,
  request,
  SMUGGLED,
  TAG,
} from '../case.ts';

const length = (value: string, body = 'abcde') => request([`Content-Length:${value}`], body);
const BAD_LENGTHS: readonly (readonly [string, string])[] = [
  ['empty', ''],
  ['white space alone', ' \t '],
  ['a plus sign', ' +5'],
  ['a minus sign', ' -5'],
  ['minus one', ' -1'],
  ['minus zero', ' -0'],
  ['hexadecimal', ' 0x5'],
  ['hexadecimal digits', ' A'],
  ['octal', ' 05'],
  ['a leading zero', ' 010'],
  ['two zeros', ' 00'],
  ['a decimal point', ' 5.0'],
  ['an exponent', ' 5e0'],
  ['an underscore', ' 1_0'],
  ['white space within', ' 1 0'],
  ['a tab within', ' 1\t0'],
  ['a list', ' 5, 5'],
  ['a list without a space', ' 5,5'],
  ['a list of two lengths', ' 5, 0'],
  ['a list with an empty member', ' ,5'],
  ['a comma behind', ' 5,'],
  ['a semicolon behind', ' 5;'],
  ['letters behind', ' 5Z'],
  ['a quoted number', ' "5"'],
  ['a vertical tab before', ' \x0b5'],
  ['a form feed before', ' \x0c5'],
  ['a no-break space before', ' \xa05'],
  ['a no-break space behind', ' 5\xa0'],
  ['a next line (0x85) behind', ' 5\x85'],
  ['a NUL behind', ' 5\0'],
  ['a bare CR behind', ' 5\r'],
  ['a bare CR before', '\r5'],
  ['a bare LF before', '\n5'],
  ['a folded line before', '\r\n 5'],
  ['a folded line behind', ' 5\r\n 5'],
  ['digits of another script', ' \xd9\xa5'],
  ['2^53', ' 9007199254740992'],
  ['2^64 + 5', ' 18446744073709551621'],
  ['a hundred digits', ` 1${'0'.repeat(99)}`],
];

export const CONTENT_LENGTH: Case[] = group('Content-Length (RFC 9112, 6.2)', [
  ['a body', length(' 5'), forwarded(post('abcde'))],
  ['no body', length(' 0', ''), forwarded(post(''))],
  ['none', request([]), forwarded(post(''))],
  ['no space after the colon', length('5'), forwarded(post('abcde'))],
  ['white space around', length(' \t5 \t'), forwarded(post('abcde'))],
  [
    'a body that looks like a request',
    request([`Content-Length: ${SMUGGLED.length}`], SMUGGLED),
    forwarded(post(SMUGGLED)),
  ],
  ['a body of line ends', length(' 4', '\r\n\r\n'), forwarded(post('\r\n\r\n'))],
  ['a body that looks like chunks', length(' 5', '0\r\n\r\n'), forwarded(post('0\r\n\r\n'))],
  ['a request behind the body', length(' 5') + SMUGGLED, forwarded(post('abcde'), get('/smuggled'))],
  [
    'one byte too few',
    `${length(' 4', 'abcd')}e${SMUGGLED}`,
    { ...forwarded(post('abcd'), { method: 'eGET', target: '/smuggled' }) },
  ],
  ['an empty line behind the body', `${length(' 5')}\r\n${SMUGGLED}`, forwarded(post('abcde'), get('/smuggled'))],
  ...BAD_LENGTHS.map(([name, value]) => [name, length(value) + SMUGGLED, refused(400)] as const),
  ['twice the same', request(['Content-Length: 5', 'Content-Length: 5'], 'abcde'), refused(400)],
  ['two, the first shorter', request(['Content-Length: 0', 'Content-Length: 5'], 'abcde'), refused(400)],
  ['two, the first longer', request(['Content-Length: 5', 'Content-Length: 0'], 'abcde'), refused(400)],
  ['two, the first empty', request(['Content-Length:', 'Content-Length: 5'], 'abcde'), refused(400)],
  [
    'two, the second in other letters',
    request(['Content-Length: 5', 'X: y', 'CONTENT-LENGTH: 0'], 'abcde'),
    refused(400),
  ],
  [
    'two, the second with a space before its colon',
    request(['Content-Length: 5', 'Content-Length : 0'], 'abcde'),
    refused(400),
  ],
  ['a space before the colon', request(['Content-Length : 5'], 'abcde'), refused(400)],
  ['a no-break space before the colon', request(['Content-Length\xa0: 5'], 'abcde'), refused(400)],
  ['a space before the name', request([' Content-Length: 5'], 'abcde'), refused(400)],
  ['no colon', request(['Content-Length 5'], 'abcde'), refused(400)],
  ['a percent-encoded name', request(['Content%2dLength: 5'], ''), forwarded(post('', { 'content-length': null }))],
  ['of HTTP/1.0 with a leading zero', `POST /${TAG} HTTP/1.0\r\nContent-Length: 05\r\n\r\nabcde`, refused(400)],
]);

const BODY = '3\r\nabc\r\n0\r\n\r\n';
const coding = (line: string, body = BODY) => request([line], body + SMUGGLED);

/** Values that some take for chunked, and others not. */
const BAD_CODINGS: readonly (readonly [string, string, ...number[]])[] = [
  ['empty', '', 400],
  ['a comma alone', ' ,', 400],
  ['xchunked', ' xchunked', 400],
  ['chunkedx', ' chunkedx', 400],
  ['chunk', ' chunk', 400],
  ['identity', ' identity', 400],
  ['chunked, identity', ' chunked, identity', 400],
  ['identity, chunked', ' identity, chunked', 501],
  ['identity, chunked, identity', ' identity, chunked, identity', 400],
  ['gzip, chunked', ' gzip, chunked', 501],
  ['chunked, gzip', ' chunked, gzip', 400],
  ['gzip', ' gzip', 400],
  ['cow', ' cow', 400],
  ['cow, chunked', ' cow, chunked', 501],
  ['chunked twice in one line', ' chunked, chunked', 400],
  ['a comma before', ' ,chunked', 400],
  ['a comma behind', ' chunked,', 400],
  ['a comma and a space behind', ' chunked, ', 400],
  ['a semicolon behind', ' chunked;', 400],
  ['a parameter', ' chunked;q=1', 400],
  ['a space within', ' chu nked', 400],
  ['a word behind', ' chunked x', 400],
  ['double quotes', ' "chunked"', 400],
  ['single quotes', " 'chunked'", 400],
  ['a vertical tab before', ' \x0bchunked', 400],
  ['a vertical tab behind', ' chunked\x0b', 400],
  ['a form feed before', ' \x0cchunked', 400],
  ['a form feed behind', ' chunked\x0c', 400],
  ['a NUL before', ' \0chunked', 400],
  ['a NUL behind', ' chunked\0', 400],
  ['a DEL before', ' \x7fchunked', 400],
  ['a DEL behind', ' chunked\x7f', 400],
  ['a no-break space before', ' \xa0chunked', 400],
  ['a no-break space behind', ' chunked\xa0', 400],
  ['a next line (0x85) behind', ' chunked\x85', 400],
  ['0xff before', '\xffchunked', 400],
  ['a bare CR before', '\rchunked', 400],
  ['a bare CR behind', ' chunked\r', 400],
  ['a bare LF before', '\n chunked', 400],
  ['a vertical tab on the next line', '\n\x0bchunked', 400],
  ['a folded line', '\r\n chunked', 400],
  ['a line folded by a tab', '\r\n\tchunked', 400],
  ['a folded line behind', ' chunked\r\n , identity', 400],
  ['an 8-bit letter within', ' ch\x96nked', 400],
  ['letters of another script', ' \xd1\x81hunked', 400],
  ['a percent-encoded letter', ' %63hunked', 400],
  ['an escaped letter', ' \\chunked', 400],
  ['an encoded word', ' =?utf-8?q?chunked?=', 400],
];

const OBFUSCATED_NAMES: readonly (readonly [string, string])[] = [
  ['a space before the colon', 'Transfer-Encoding : chunked'],
  ['a tab before the colon', 'Transfer-Encoding\t: chunked'],
  ['a space before the name', ' Transfer-Encoding: chunked'],
  ['a tab before the name', '\tTransfer-Encoding: chunked'],
  ['behind a field, folded by a space', 'X: y\r\n Transfer-Encoding: chunked'],
  ['behind a field, folded by a tab', 'X: y\r\n\tTransfer-Encoding: chunked'],
  ['behind a bare LF', 'X: y\nTransfer-Encoding: chunked'],
  ['behind a bare CR', 'X: y\rTransfer-Encoding: chunked'],
  ['behind a line end and a bare CR', 'X: y\r\n\rTransfer-Encoding: chunked'],
  ['behind two bare LFs', 'X: y\n\nTransfer-Encoding: chunked'],
  ['the colon on the next line', 'Transfer-Encoding\r\n : chunked'],
  ['the colon behind a bare LF', 'Transfer-Encoding\n : chunked'],
  ['the name on two lines', 'Transfer-\r\nEncoding: chunked'],
  ['a bare CR in the name', 'Tra\rnsfer-Encoding: chunked'],
  ['a space for the hyphen', 'Transfer Encoding: chunked'],
  ['a backslash for the hyphen', 'Transfer\\Encoding: chunked'],
  ['a word behind the name', 'Transfer-Encoding x: chunked'],
  ['a no-break space behind the name', 'Transfer-Encoding\xa0: chunked'],
  ['a next line (0x85) behind the name', 'Transfer-Encoding\x85: chunked'],
  ['a NUL behind the name', 'Transfer-Encoding\0: chunked'],
  ['an 8-bit letter in the name', 'Transf\x82r-Encoding: chunked'],
  ['no colon', 'Transfer-Encoding chunked'],
  ['an equals sign for the colon', 'Transfer-Encoding= chunked'],
  ['a quoted name', '"Transfer-Encoding": chunked'],
];

export const TRANSFER_ENCODING: Case[] = group('Transfer-Encoding (RFC 9112, 6.1)', [
  ['chunked', chunked(BODY), forwarded(post('abc', { 'transfer-encoding': 'chunked', 'content-length': null }))],
  [
    'in capitals',
    coding('TRANSFER-ENCODING: CHUNKED'),
    forwarded(post('abc', { 'transfer-encoding': 'chunked' }), get('/smuggled')),
  ],
  [
    'white space around',
    coding('Transfer-Encoding: \t chunked \t'),
    forwarded(post('abc', { 'transfer-encoding': 'chunked' }), get('/smuggled')),
  ],
  [
    'no space after the colon',
    coding('Transfer-Encoding:chunked'),
    forwarded(post('abc', { 'transfer-encoding': 'chunked' }), get('/smuggled')),
  ],
  [
    'of a GET',
    request(['Transfer-Encoding: chunked'], BODY, 'GET / HTTP/1.1'),
    { ...forwarded({ method: 'GET', target: '/', body: 'abc' }), isLast: true },
  ],
  ...BAD_CODINGS.map(
    ([name, value, ...statuses]) => [name, coding(`Transfer-Encoding:${value}`), refused(...statuses)] as const,
  ),
  ['twice', request(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], BODY), refused(400)],
  [
    'twice, identity behind',
    request(['Transfer-Encoding: chunked', 'Transfer-encoding: identity'], BODY),
    refused(400),
  ],
  [
    'twice, identity before',
    request(['Transfer-Encoding: identity', 'Transfer-Encoding: chunked'], BODY),
    refused(400),
  ],
  ['twice, gzip before', request(['Transfer-Encoding: gzip', 'Transfer-Encoding: chunked'], BODY), refused(400, 501)],
  ['twice, an empty one behind', request(['Transfer-Encoding: chunked', 'Transfer-Encoding:'], BODY), refused(400)],
  ['in HTTP/1.0', `POST /${TAG} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n${BODY}`, refused(400)],
  [
    'in HTTP/1.0 that is kept alive',
    `POST /${TAG} HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n${BODY}`,
    refused(400),
  ],
  [
    'in HTTP/1.0 with Content-Length',
    `POST /${TAG} HTTP/1.0\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc`,
    refused(400),
  ],
  [
    'Content-Encoding: chunked, which frames nothing',
    request(['Content-Encoding: chunked', 'Content-Length: 3'], 'abc'),
    forwarded(post('abc', { 'content-encoding': 'chunked' })),
  ],
]);

/** The same smuggled request behind a body that ends early by one framing, and late by the other. */
const PREFIX = '0\r\n\r\n';
const conflict = (te: string) => request([`Content-Length: ${PREFIX.length + SMUGGLED.length}`, te], PREFIX + SMUGGLED);
const reversed = (te: string) =>
  request([te, 'Content-Length: 4'], `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`);
const both: Expectation = refused(400);

export const SMUGGLING: Case[] = group('Smuggling: CL.TE, TE.CL, TE.TE (RFC 9112, 11.2)', [
  ['CL.TE', conflict('Transfer-Encoding: chunked'), both],
  ['TE.CL', reversed('Transfer-Encoding: chunked'), both],
  ['CL.TE, the length agrees', request(['Content-Length: 13', 'Transfer-Encoding: chunked'], BODY), both],
  ['CL.TE, the length is 0', request(['Content-Length: 0', 'Transfer-Encoding: chunked'], BODY), both],
  ['CL.TE of a GET', conflict('Transfer-Encoding: chunked').replace('POST', 'GET'), both],
  ['TE.0 of OPTIONS', reversed('Transfer-Encoding: chunked').replace('POST', 'OPTIONS'), both],
  ['CL.TE, Connection: close', conflict('Transfer-Encoding: chunked\r\nConnection: close'), both],
  [
    'CL.TE, Connection names Content-Length',
    conflict('Transfer-Encoding: chunked\r\nConnection: Content-Length'),
    both,
  ],
  [
    'CL.TE, Connection names Transfer-Encoding',
    conflict('Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding'),
    both,
  ],
  [
    'CL.TE, Transfer_Encoding',
    conflict('Transfer_Encoding: chunked'),
    forwarded(post(PREFIX + SMUGGLED, { transfer_encoding: null })),
  ],
  [
    'TE.CL, Content_Length',
    request(['Transfer-Encoding: chunked', 'Content_Length: 4'], BODY),
    forwarded(post('abc', { content_length: null })),
  ],
  ['CL.TE, percent-encoded name', conflict('Transfer-%45ncoding: chunked'), forwarded(post(PREFIX + SMUGGLED))],
  ['CL.TE, Content-Encoding', conflict('Content-Encoding: chunked'), forwarded(post(PREFIX + SMUGGLED))],
  ['CL.TE, TE', conflict('TE: chunked'), forwarded(post(PREFIX + SMUGGLED, { te: null }))],
  ['CL.TE, Trailer', conflict('Trailer: Transfer-Encoding'), forwarded(post(PREFIX + SMUGGLED))],
  ...OBFUSCATED_NAMES.map(([name, line]) => [`CL.TE, ${name}`, conflict(line), refused(400)] as const),
  ...OBFUSCATED_NAMES.map(([name, line]) => [`TE.CL, ${name}`, reversed(line), refused(400)] as const),
  ...BAD_CODINGS.map(
    ([name, value]) => [`CL.TE, ${name}`, conflict(`Transfer-Encoding:${value}`), refused(400, 501)] as const,
  ),
  [
    'TE.TE, the second in odd letters',
    request(['Transfer-Encoding: chunked', 'tRANSFER-eNCODING: cow', 'Content-Length: 4'], BODY + SMUGGLED),
    refused(400),
  ],
  [
    'TE.TE, the second obfuscated',
    request(['Transfer-Encoding: chunked', 'Transfer-Encoding : identity'], BODY + SMUGGLED),
    refused(400),
  ],
]);

/** A body that a careless backend may not read. */
const content = (start: string, ...lines: string[]) =>
  request([`Content-Length: ${SMUGGLED.length}`, ...lines], SMUGGLED, start);
const whole = (method: string, target = '/') => ({ method, target, body: SMUGGLED });

export const IGNORED_BODIES: Case[] = group('Smuggling: CL.0, 0.CL, TE.0', [
  ['CL.0 of POST', content('POST / HTTP/1.1'), forwarded(whole('POST'))],
  ...['GET', 'HEAD', 'DELETE', 'OPTIONS'].map(
    (name) => [`CL.0 of ${name}`, content(`${name} / HTTP/1.1`), { ...forwarded(whole(name)), isLast: true }] as const,
  ),
  ['CL.0 of OPTIONS *', content('OPTIONS * HTTP/1.1'), { ...forwarded(whole('OPTIONS', '*')), isLast: true }],
  ['CL.0 of a method in lower case', content('get / HTTP/1.1'), forwarded(whole('get'))],
  [
    'TE.0 of OPTIONS',
    request(
      ['Transfer-Encoding: chunked'],
      `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`,
      'OPTIONS / HTTP/1.1',
    ),
    { ...forwarded(whole('OPTIONS')), isLast: true },
  ],
  [
    'TE.0 of HEAD',
    request(
      ['Transfer-Encoding: chunked'],
      `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`,
      'HEAD / HTTP/1.1',
    ),
    { ...forwarded(whole('HEAD')), isLast: true },
  ],
  ['CL.0 with Connection: keep-alive', content('POST / HTTP/1.1', 'Connection: keep-alive'), forwarded(whole('POST'))],
  [
    'CL.0 with Connection: close',
    content('POST / HTTP/1.1', 'Connection: close'),
    { ...forwarded(whole('POST')), closes: true },
  ],
  ['CL.0 with an absolute-form target', content(`POST http://${TAG}/x HTTP/1.1`), forwarded(whole('POST', '/x'))],
  [
    'CL.0 of HTTP/1.0',
    `GET /${TAG} HTTP/1.0\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
    { ...forwarded(whole('GET', `/${TAG}`)), isLast: true, closes: true },
  ],
  ['0.CL by a folded length', request([`X: y\r\n Content-Length: ${SMUGGLED.length}`], SMUGGLED), refused(400)],
  ['0.CL by a length behind a bare LF', request([`X: y\nContent-Length: ${SMUGGLED.length}`], SMUGGLED), refused(400)],
  ['0.CL by a space before the name', request([` Content-Length: ${SMUGGLED.length}`], SMUGGLED), refused(400)],
  [
    '0.CL by a length of 0 and another',
    request(['Content-Length: 0', `Content-Length: ${SMUGGLED.length}`], SMUGGLED),
    refused(400),
  ],
  ['0.CL by a form feed', request([`Content-Length: \x0c${SMUGGLED.length}`], SMUGGLED), refused(400)],
  ['0.CL by a name in parentheses', request([`(Content-Length: ${SMUGGLED.length}`], SMUGGLED), refused(400)],
]);
