/** Where a response ends (RFC 9112 sections 6 and 7): one framing, or none. */

import { type CaseGroup, FIN, POISON, passed, type ResponseCase, refused } from './response-case.ts';

const OK = 'HTTP/1.1 200 OK';
const CHUNKED = 'Transfer-Encoding: chunked';
const FIRST = '2\r\nok\r\n';

function refusedFields(name: string, fields: readonly string[], line = OK): ResponseCase {
  return refused(name, [line, ...fields, '', '0\r\n\r\n'].join('\r\n'));
}

const fields: readonly ResponseCase[] = [
  refusedFields('two lengths, equal', ['Content-Length: 5', 'Content-Length: 5']),
  refusedFields('two lengths, different', ['Content-Length: 5', 'Content-Length: 2']),
  refusedFields('two lengths, one of them empty', ['Content-Length: 5', 'Content-Length:']),
  refusedFields('a list of equal lengths', ['Content-Length: 5, 5']),
  refusedFields('a list of different lengths', ['Content-Length: 5, 2']),
  refusedFields('a length with a plus', ['Content-Length: +5']),
  refusedFields('a negative length', ['Content-Length: -5']),
  refusedFields('a length in hexadecimal', ['Content-Length: 0x5']),
  refusedFields('a length with a leading zero', ['Content-Length: 05']),
  refusedFields('a length with a point', ['Content-Length: 5.0']),
  refusedFields('a length with an exponent', ['Content-Length: 5e0']),
  refusedFields('a length with a unit', ['Content-Length: 5b']),
  refusedFields('an empty length', ['Content-Length:']),
  refusedFields('a length with a space in it', ['Content-Length: 0 5']),
  refusedFields('a length in quotes', ['Content-Length: "5"']),
  refusedFields('a length past 2^64', ['Content-Length: 18446744073709551621']),
  refusedFields('a length past 2^63', ['Content-Length: 9223372036854775813']),
  refusedFields('a length and chunks', ['Content-Length: 5', CHUNKED]),
  refusedFields('chunks and a length', [CHUNKED, 'Content-Length: 5']),
  refusedFields('a faulty length and chunks', ['Content-Length: x', CHUNKED]),
  refusedFields('chunked twice', [CHUNKED, CHUNKED]),
  refusedFields('chunked twice in a list', ['Transfer-Encoding: chunked, chunked']),
  refusedFields('chunked not last', ['Transfer-Encoding: chunked, gzip']),
  refusedFields('gzip, then chunked', ['Transfer-Encoding: gzip, chunked']),
  refusedFields('gzip, then chunked, in two fields', ['Transfer-Encoding: gzip', CHUNKED]),
  refusedFields('gzip alone', ['Transfer-Encoding: gzip']),
  refusedFields('identity', ['Transfer-Encoding: identity']),
  refusedFields('identity and a length', ['Transfer-Encoding: identity', 'Content-Length: 5']),
  refusedFields('a coding that is none', ['Transfer-Encoding: xchunked']),
  refusedFields('chunked with a parameter', ['Transfer-Encoding: chunked;q=1']),
  refusedFields('chunked in quotes', ['Transfer-Encoding: "chunked"']),
  refusedFields('chunked and an empty member', ['Transfer-Encoding: chunked,']),
  refusedFields('an empty coding', ['Transfer-Encoding:']),
  refusedFields('a coding behind a vertical tab', ['Transfer-Encoding: \x0bchunked']),
  refusedFields('chunks in HTTP/1.0', [CHUNKED], 'HTTP/1.0 200 OK'),
  refusedFields('chunks and a length in HTTP/1.0', [CHUNKED, 'Content-Length: 5'], 'HTTP/1.0 200 OK'),
];

const LENGTH_5 = `${OK}\r\nContent-Length: 5`;

const wholes: readonly ResponseCase[] = [
  passed('a length', [`${LENGTH_5}\r\n\r\nhello`], { head: LENGTH_5, body: 'hello' }),
  passed('a length of 0', [`${OK}\r\nContent-Length: 0\r\n\r\n`], { head: `${OK}\r\nContent-Length: 0` }),
  passed('white space around a length', [`${OK}\r\nContent-Length: \t 5 \t\r\n\r\nhello`], {
    head: `${OK}\r\nContent-Length: \t 5 \t`,
    body: 'hello',
  }),
  passed('CHUNKED in capitals', [`${OK}\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n`], {
    head: OK,
    body: '5\r\nhello\r\n0\r\n\r\n',
    content: 'hello',
  }),
  passed(
    'until close',
    [`${OK}\r\n\r\nhello`, FIN],
    { head: OK, body: '5\r\nhello\r\n0\r\n\r\n', content: 'hello' },
    { isReused: false },
  ),
  passed(
    'until close, without a byte of content',
    [`${OK}\r\n\r\n`, FIN],
    { head: OK, body: '0\r\n\r\n', content: '' },
    { isReused: false },
  ),
];

/** A body in chunks, as the backend sends it, and as HTTP/1.1 clients get it; `content` is what it says. */
function chunks(name: string, sent: string, content: string, handedOn = sent): ResponseCase {
  return passed(name, [`${OK}\r\n${CHUNKED}\r\n\r\n${sent}`], { head: OK, body: handedOn, content });
}

/**
 * A body in chunks with a fault behind its first chunk. Nothing of what came in one piece with the fault is handed on in
 * chunks, and no client gets a last chunk; `content` is what one without chunks gets.
 */
function faulty(name: string, rest: string, content = 'ok', body = '', lenient = 'okhello'): ResponseCase {
  const sent = `${OK}\r\n${CHUNKED}\r\n\r\n${FIRST}${rest}`;
  return { ...passed(name, [sent], { head: OK, body, content, isCut: true }), lenient };
}

/** The same in the trailer section, with which the body is held back. */
function faultyTrailer(name: string, section: string): ResponseCase {
  return faulty(name, `0\r\n${section}`, 'ok', `${FIRST}0\r\n`, 'ok');
}

const chunked: readonly ResponseCase[] = [
  chunks('chunks', '5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n', 'hello world'),
  chunks('sizes with leading zeros', '0005\r\nhello\r\n000\r\n\r\n', 'hello'),
  chunks('sizes in both cases of letters', 'a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n', '01234567890123456789'),
  chunks('extensions', '5;a;b=c;d="e\\"f"\r\nhello\r\n0;x\r\n\r\n', 'hello', '5\r\nhello\r\n0\r\n\r\n'),
  chunks('no chunk but the last', '0\r\n\r\n', ''),
  faulty('no size', '\r\nhello\r\n0\r\n\r\n'),
  faulty('a size that is none', 'xyz\r\nhello\r\n0\r\n\r\n'),
  faulty('a negative size', '-5\r\nhello\r\n0\r\n\r\n'),
  faulty('a size with 0x', '0x5\r\nhello\r\n0\r\n\r\n'),
  faulty('a size with a space before it', ' 5\r\nhello\r\n0\r\n\r\n'),
  faulty('a size with a space behind it', '5 \r\nhello\r\n0\r\n\r\n'),
  faulty('a size that ends in LF', '5\nhello\r\n0\r\n\r\n'),
  faulty('a size past 2^64', '10000000000000005\r\nhello\r\n0\r\n\r\n'),
  faulty('a size of zeros without end', `${'0'.repeat(40)}5\r\nhello\r\n0\r\n\r\n`),
  faulty('an extension with a bare LF', '5;a\nb\r\nhello\r\n0\r\n\r\n', 'ok', `${FIRST}5`),
  faulty('an extension with a NUL', '5;a\0\r\nhello\r\n0\r\n\r\n', 'ok', `${FIRST}5`),
  faulty('an extension of 10,000 bytes', `5;${'a'.repeat(10_000)}\r\nhello\r\n0\r\n\r\n`, 'ok', `${FIRST}5`),
  faulty('no CRLF behind a chunk', '5\r\nhello0\r\n\r\n', 'okhello'),
  faulty('a chunk longer than its size', '3\r\nhello\r\n0\r\n\r\n', 'okhel'),
  faulty('a chunk that ends in LF', '5\r\nhello\n0\r\n\r\n', 'okhello'),
];

/** A trailer section; what of it is handed on. */
function trailers(name: string, sent: string, handedOn: string): ResponseCase {
  return chunks(name, `${FIRST}0\r\n${sent}\r\n`, 'ok', `${FIRST}0\r\n${handedOn}\r\n`);
}

const trailerSections: readonly ResponseCase[] = [
  trailers('trailers', 'X-Sum: 1\r\nX-Time: 2\r\n', 'X-Sum: 1\r\nX-Time: 2\r\n'),
  trailers('trailers that frame', 'Content-Length: 5\r\nX: y\r\nTransfer-Encoding: chunked\r\n', 'X: y\r\n'),
  trailers('trailers that speak of the connection', 'Connection: close\r\nUpgrade: h2c\r\nX: y\r\n', 'X: y\r\n'),
  trailers('trailers that set cookies', 'Set-Cookie: a=b\r\nX: y\r\n', 'X: y\r\n'),
  faultyTrailer('a trailer without a colon', 'nonsense\r\n\r\n'),
  faultyTrailer('a trailer with white space before the colon', 'X : y\r\n\r\n'),
  faultyTrailer('a folded trailer', 'X: a\r\n b\r\n\r\n'),
  faultyTrailer('a trailer with a NUL', 'X: \0\r\n\r\n'),
  faultyTrailer('a trailer that ends in LF', 'X: y\n\r\n'),
  faultyTrailer('trailers past 8 KiB', `X: ${'y'.repeat(9000)}\r\n\r\n`),
  faultyTrailer('65 trailers', `${'X: y\r\n'.repeat(65)}\r\n`),
  faultyTrailer('a response for a trailer', `HTTP/1.1 200 OK\r\n\r\n${POISON}`),
];

export const lengthAndCoding: CaseGroup = { name: 'framing by the head', cases: [...wholes, ...fields] };
export const chunkedBodies: CaseGroup = { name: 'bodies in chunks', cases: chunked };
export const trailerFields: CaseGroup = { name: 'trailers', cases: trailerSections };
