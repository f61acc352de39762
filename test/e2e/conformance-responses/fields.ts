/** Field lines (RFC 9112 section 5), and the fields that are for one hop (RFC 9110 section 7.6.1). */

import { type CaseGroup, POISON, passed, type ResponseCase, refused } from './response-case.ts';

const OK = 'HTTP/1.1 200 OK';
const END = 'Content-Length: 2';

function refusedLine(name: string, line: string): ResponseCase {
  return refused(name, `${OK}\r\n${line}\r\n${END}\r\n\r\nok`);
}

/** `kept` is what the client gets of `lines`. */
function lines(name: string, sent: readonly string[], kept: readonly string[], isReused = true): ResponseCase {
  const head = [OK, ...kept, END].join('\r\n');
  return passed(name, [`${[OK, ...sent, END].join('\r\n')}\r\n\r\nok`], { head, body: 'ok' }, { isReused });
}

const many = Array.from({ length: 127 }, (_, i) => `X-${i}: y`);

export const fieldLines: CaseGroup = {
  name: 'field lines',
  cases: [
    lines('an empty value', ['X:'], ['X:']),
    lines('a value with bytes above ASCII', ['X: \x80\xff'], ['X: \x80\xff']),
    lines('a field twice', ['X: 1', 'X: 2'], ['X: 1', 'X: 2']),
    lines('128 fields', many, many),
    refusedLine('a NUL in a value', 'X: a\0b'),
    refusedLine('a bare CR in a value', 'X: a\rb'),
    refusedLine('a bare CR, and a field behind it', `X: a\rSet-Cookie: ${POISON}`),
    refusedLine('a bare LF, and a field behind it', `X: a\nSet-Cookie: ${POISON}`),
    refusedLine('a bare LF, and a length behind it', 'X: a\nContent-Length: 0'),
    refusedLine('a DEL in a value', 'X: a\x7f'),
    refusedLine('an escape in a value', 'X: \x1b[2J'),
    refusedLine('a folded line', 'X: a\r\n b'),
    refusedLine('a line folded by a tab', 'X: a\r\n\tb'),
    refused('the first line folded', `${OK}\r\n X: a\r\n${END}\r\n\r\nok`),
    refusedLine('a space before the colon', 'X : a'),
    refusedLine('a tab before the colon', 'X\t: a'),
    refusedLine('a space before the colon of a length', 'Content-Length : 5'),
    refusedLine('a space before the colon of a coding', 'Transfer-Encoding : chunked'),
    refusedLine('a space within a name', 'X Y: a'),
    refusedLine('a NUL in a name', 'X\0: a'),
    refusedLine('a byte above ASCII in a name', 'X\xe9: a'),
    refusedLine('brackets in a name', 'X(y): a'),
    refusedLine('no name', ': a'),
    refusedLine('no colon', 'X'),
    refusedLine('a status line among the fields', 'HTTP/1.1 200 OK'),
    refused('a bare LF for the empty line', `${OK}\r\n${END}\r\n\nok`),
    refused('a bare CR for the empty line', `${OK}\r\n${END}\r\n\rok`),
    refusedLine('129 fields', many.concat('X: y').join('\r\n')),
    refusedLine('a field of 40,000 bytes', `X: ${'y'.repeat(40_000)}`),
    refusedLine(
      'fields of 40,000 bytes in all',
      Array(40)
        .fill(`X: ${'y'.repeat(995)}`)
        .join('\r\n'),
    ),
  ],
};

export const hopByHop: CaseGroup = {
  name: 'fields of one hop',
  cases: [
    lines('Keep-Alive and Proxy-Connection', ['Keep-Alive: timeout=5', 'Proxy-Connection: keep-alive'], []),
    lines('Connection: keep-alive', ['Connection: keep-alive'], []),
    lines('fields that Connection names', ['Connection: x-a, X-B', 'X-A: 1', 'x-b: 2', 'X-C: 3'], ['X-C: 3']),
    lines('fields that a later Connection names', ['X-A: 1', 'Connection: keep-alive', 'Connection: x-a'], []),
    lines('Upgrade, in a response that switches nothing', ['Connection: upgrade', 'Upgrade: h2c'], []),
    lines('Connection: close', ['Connection: close'], [], false),
    lines('Connection: Keep-Alive, CLOSE', ['Connection: Keep-Alive, CLOSE'], [], false),
    lines('Connection: close, and keep-alive in another', ['Connection: close', 'Connection: keep-alive'], [], false),
    lines(
      'Set-Cookie, several of them',
      ['Set-Cookie: a=b; path=/', 'Set-Cookie: c=d'],
      ['Set-Cookie: a=b; path=/', 'Set-Cookie: c=d'],
    ),
    lines(
      'Via and Server, Date and Trailer',
      ['Via: 1.1 x', 'Server: y', 'Date: z', 'Trailer: T'],
      ['Via: 1.1 x', 'Server: y', 'Date: z', 'Trailer: T'],
    ),
    refusedLine('Connection names Content-Length', 'Connection: content-length'),
    refusedLine('Connection names Transfer-Encoding', 'Connection: transfer-encoding'),
    refusedLine('Connection names Connection', 'Connection: connection'),
    refusedLine('Connection that is no list of tokens', 'Connection: a b'),
    refusedLine(
      'Connection with 33 names',
      `Connection: ${many
        .slice(0, 33)
        .map((line) => line.split(':')[0])
        .join(', ')}`,
    ),
    passed(
      'HTTP/1.0 without keep-alive',
      ['HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok'],
      { head: `${OK}\r\n${END}`, body: 'ok' },
      { isReused: false },
    ),
    passed('HTTP/1.0 with keep-alive', ['HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok'], {
      head: `${OK}\r\n${END}`,
      body: 'ok',
    }),
    passed(
      'HTTP/1.0 with keep-alive and close',
      ['HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 2\r\n\r\nok'],
      { head: `${OK}\r\n${END}`, body: 'ok' },
      { isReused: false },
    ),
  ],
};
