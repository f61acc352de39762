/**
 * Bytes that belong to no response: behind one, in one that has no body, on an idle connection. Nobody knows for whom
 * they are, so nobody may get them, and the connection ends.
 */

import {
  type CaseGroup,
  FIN,
  HEAD,
  POISON,
  POISONED,
  passed,
  RECEIVED,
  type RequestShape,
  type ResponseCase,
  RST,
  type Step,
} from './response-case.ts';

const OK = 'HTTP/1.1 200 OK';
const LENGTH_2 = `${OK}\r\nContent-Length: 2`;
const CHUNKED = `${OK}\r\nTransfer-Encoding: chunked`;

function extra(name: string, script: readonly Step[], head: string, body = '', content?: string): ResponseCase {
  const answer = content === undefined ? { head, body } : { head, body, content };
  return passed(name, script, answer, { isReused: false });
}

export const behindResponses: CaseGroup = {
  name: 'bytes behind a response',
  cases: [
    extra('a second response', [`${LENGTH_2}\r\n\r\nok${POISONED}`], LENGTH_2, 'ok'),
    extra('a second response, in its own packet', [`${LENGTH_2}\r\n\r\nok`, RECEIVED, POISONED], LENGTH_2, 'ok'),
    extra('a byte', [`${LENGTH_2}\r\n\r\nok!`], LENGTH_2, 'ok'),
    extra('an empty line', [`${LENGTH_2}\r\n\r\nok\r\n`], LENGTH_2, 'ok'),
    extra('an empty line and a response', [`${LENGTH_2}\r\n\r\nok\r\n${POISONED}`], LENGTH_2, 'ok'),
    extra('content past the length', [`${LENGTH_2}\r\n\r\nok${POISON}`], LENGTH_2, 'ok'),
    extra(
      'content past a length of 0',
      [`${OK}\r\nContent-Length: 0\r\n\r\n${POISONED}`],
      `${OK}\r\nContent-Length: 0`,
    ),
    extra('a response past the last chunk', [`${CHUNKED}\r\n\r\n0\r\n\r\n${POISONED}`], OK, '0\r\n\r\n', ''),
    extra('a chunk past the last', [`${CHUNKED}\r\n\r\n0\r\n\r\n6\r\n${POISON}\r\n0\r\n\r\n`], OK, '0\r\n\r\n', ''),
    extra('a response past trailers', [`${CHUNKED}\r\n\r\n0\r\nX: y\r\n\r\n${POISONED}`], OK, '0\r\nX: y\r\n\r\n', ''),
    extra('an interim response', [`${LENGTH_2}\r\n\r\nokHTTP/1.1 100 Continue\r\n\r\n`], LENGTH_2, 'ok'),
    extra('half a status line', [`${LENGTH_2}\r\n\r\nokHTTP/1.1 200`], LENGTH_2, 'ok'),
  ],
};

export const onIdle: CaseGroup = {
  name: 'an idle connection',
  cases: [
    extra('a response that nobody asked for', [`${LENGTH_2}\r\n\r\nok`, RECEIVED, POISONED], LENGTH_2, 'ok'),
    extra('a byte', [`${LENGTH_2}\r\n\r\nok`, RECEIVED, 'H'], LENGTH_2, 'ok'),
    extra(
      'an interim response',
      [`${LENGTH_2}\r\n\r\nok`, RECEIVED, 'HTTP/1.1 103 Early Hints\r\n\r\n'],
      LENGTH_2,
      'ok',
    ),
    extra(
      '408, as servers send it to idle clients',
      [
        `${LENGTH_2}\r\n\r\nok`,
        RECEIVED,
        'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
        FIN,
      ],
      LENGTH_2,
      'ok',
    ),
    extra('its end', [`${LENGTH_2}\r\n\r\nok`, RECEIVED, FIN], LENGTH_2, 'ok'),
    extra('a reset', [`${LENGTH_2}\r\n\r\nok`, RECEIVED, RST], LENGTH_2, 'ok'),
    extra('its end, with the response', [`${LENGTH_2}\r\n\r\nok`, FIN], LENGTH_2, 'ok'),
  ],
};

/** No client gets a body, whatever the head and the bytes behind it say. */
function bodiless(
  name: string,
  head: string,
  body: string,
  handedOn: string,
  request: RequestShape = { method: 'GET' },
): ResponseCase {
  const isReused = body === '';
  return passed(name, [`${head}\r\n\r\n${body}`], { head: handedOn }, { request, isReused });
}

export const withoutBody: CaseGroup = {
  name: 'responses without a body',
  cases: [
    bodiless('HEAD with a length', `${OK}\r\nContent-Length: 6`, '', `${OK}\r\nContent-Length: 6`, HEAD),
    bodiless('HEAD with a length and a body', `${OK}\r\nContent-Length: 6`, POISON, `${OK}\r\nContent-Length: 6`, HEAD),
    bodiless('HEAD with chunks', CHUNKED, '', OK, HEAD),
    bodiless('HEAD with chunks and a body of them', CHUNKED, `6\r\n${POISON}\r\n0\r\n\r\n`, OK, HEAD),
    bodiless('HEAD without a length', OK, '', OK, HEAD),
    bodiless(
      'HEAD with a response for a body',
      `${OK}\r\nContent-Length: ${POISONED.length}`,
      POISONED,
      `${OK}\r\nContent-Length: ${POISONED.length}`,
      HEAD,
    ),
    bodiless('204', 'HTTP/1.1 204 No Content', '', 'HTTP/1.1 204 No Content'),
    bodiless('204 with a length of 0', 'HTTP/1.1 204 No Content\r\nContent-Length: 0', '', 'HTTP/1.1 204 No Content'),
    bodiless(
      '204 with a length and a body',
      'HTTP/1.1 204 No Content\r\nContent-Length: 6',
      POISON,
      'HTTP/1.1 204 No Content',
    ),
    bodiless(
      '204 with chunks',
      'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked',
      `6\r\n${POISON}\r\n0\r\n\r\n`,
      'HTTP/1.1 204 No Content',
    ),
    bodiless('204 with a response for a body', 'HTTP/1.1 204 No Content', POISONED, 'HTTP/1.1 204 No Content'),
    bodiless(
      '304 with a length',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 6',
      '',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 6',
    ),
    bodiless(
      '304 with a length and a body',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 6',
      POISON,
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 6',
    ),
    bodiless(
      '304 with chunks',
      'HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked',
      `6\r\n${POISON}\r\n0\r\n\r\n`,
      'HTTP/1.1 304 Not Modified',
    ),
    bodiless('304 with a response for a body', 'HTTP/1.1 304 Not Modified', POISONED, 'HTTP/1.1 304 Not Modified'),
  ],
};
