/** Interim responses (RFC 9110 section 15.2), and the change of protocols (section 7.8). */

import {
  type CaseGroup,
  type Client,
  FIN,
  localAnswer,
  POISON,
  POISONED,
  passed,
  RECEIVED,
  type ResponseCase,
  RST,
  refused,
  relayed,
  type Seen,
  type Step,
  UPGRADE,
} from './response-case.ts';

const HINTS = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n';
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
const LENGTH_2 = 'HTTP/1.1 200 OK\r\nContent-Length: 2';
const OK = `${LENGTH_2}\r\n\r\nok`;

/** `handedOn` of the interim responses `sent` reaches HTTP/1.1 clients. */
function interims(name: string, sent: string, handedOn = sent): ResponseCase {
  return passed(name, [sent + OK], { head: LENGTH_2, body: 'ok', interims: handedOn });
}

/** Interim responses that have gone out, and then none that can be handed on. */
function refusedAfter(name: string, handedOn: string, ...script: readonly Step[]): ResponseCase {
  const seen = (client: Client): Seen => {
    const { bytes, end } = localAnswer(502, 'Bad Gateway', client);
    return { bytes: client.startsWith('1.0') ? bytes : handedOn + bytes, end };
  };
  return { name, script, seen, isReused: false };
}

/** A reset may overtake what was sent before it, so the client must have that first: clients of HTTP/1.0 never do. */
function resetAfter(name: string, sent: string): ResponseCase {
  const one = refusedAfter(name, sent, sent, RECEIVED, RST);
  return { ...one, seen: (client) => (client.startsWith('1.0') ? null : one.seen(client)) };
}

export const interimResponses: CaseGroup = {
  name: 'interim responses',
  cases: [
    interims('103', HINTS),
    interims('100 that nobody asked for', CONTINUE),
    interims('102', 'HTTP/1.1 102 Processing\r\n\r\n'),
    interims('an unknown one', 'HTTP/1.1 199 Odd\r\n\r\n'),
    interims('several', CONTINUE + HINTS + HINTS),
    interims('16, as many as may come', HINTS.repeat(16)),
    interims('one of HTTP/1.0', 'HTTP/1.0 103 Early Hints\r\n\r\n', 'HTTP/1.1 103 Early Hints\r\n\r\n'),
    interims(
      'one with a length',
      'HTTP/1.1 103 Early Hints\r\nContent-Length: 6\r\n\r\n',
      'HTTP/1.1 103 Early Hints\r\n\r\n',
    ),
    interims(
      'one with chunks',
      'HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n',
      'HTTP/1.1 103 Early Hints\r\n\r\n',
    ),
    interims(
      'one with Connection: close',
      'HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n',
      'HTTP/1.1 103 Early Hints\r\n\r\n',
    ),
    refusedAfter('a flood of 17', HINTS.repeat(16), HINTS.repeat(17) + OK),
    refusedAfter('a flood of 1,000', CONTINUE.repeat(16), CONTINUE.repeat(1000) + OK),
    refusedAfter('one with a body', HINTS, HINTS + POISON, FIN),
    refusedAfter(
      'one with a length and a body',
      'HTTP/1.1 103 Early Hints\r\n\r\n',
      `HTTP/1.1 103 Early Hints\r\nContent-Length: 6\r\n\r\n${POISON}${OK}`,
    ),
    refusedAfter(
      'one with a body in chunks',
      'HTTP/1.1 103 Early Hints\r\n\r\n',
      `HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n${POISON}\r\n0\r\n\r\n${OK}`,
    ),
    refusedAfter('none but one, and the end', HINTS, HINTS, FIN),
    resetAfter('none but one, and a reset', HINTS),
    refusedAfter('a good one and a malformed one', HINTS, `${HINTS}HTTP/1.1 1O3 Hints\r\n\r\n${OK}`),
    refused('one with two lengths', `HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n${OK}`),
    refused('one with a bare LF', `HTTP/1.1 103 Early Hints\nX: y\r\n\r\n${OK}`),
  ],
};

const SWITCHING = 'HTTP/1.1 101 Switching Protocols';
const ECHO = `${SWITCHING}\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n`;

function notAsked(name: string, ...script: readonly Step[]): ResponseCase {
  return refused(name, ...script);
}

/** The backend switches to a protocol that an HTTP/1.1 client has offered: a tunnel, of which the client sees `seen`. */
function switched(name: string, sent: string, handedOn: string): ResponseCase {
  const seen = (client: Client): Seen | null => (client === '1.1' ? { bytes: handedOn, end: 'FIN' } : null);
  return { name, request: UPGRADE, script: [sent, FIN], seen, isReused: false };
}

/** What the backend switches to is none of what the client has offered. */
function foreign(name: string, ...script: readonly Step[]): ResponseCase {
  const seen = (client: Client): Seen | null => (client === '1.1' ? localAnswer(502, 'Bad Gateway', client) : null);
  return { name, request: UPGRADE, script, seen, isReused: false };
}

function declined(name: string, sent: string, head: string, body: string): ResponseCase {
  const seen = (client: Client): Seen | null => (client === '1.1' ? relayed(client, { head, body }) : null);
  return { name, request: UPGRADE, script: [sent], seen, isReused: true };
}

export const protocols: CaseGroup = {
  name: '101',
  cases: [
    notAsked('nobody asked for it', ECHO),
    notAsked('nobody asked for it, and a response behind it', ECHO + POISONED),
    notAsked('nobody asked for it, and it names no protocol', `${SWITCHING}\r\n\r\n${POISONED}`),
    notAsked('nobody asked for it, and it has a length', `${SWITCHING}\r\nContent-Length: 6\r\n\r\n${POISON}`),
    notAsked('nobody asked for h2c', `${SWITCHING}\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n`),
    switched('the protocol that was asked for', `${ECHO}hello`, `${ECHO}hello`),
    switched('the second of those asked for', ECHO.replace('echo', 'chat/2'), ECHO.replace('echo', 'chat/2')),
    switched('in other letters', ECHO.replace('echo', 'ECHO'), ECHO.replace('echo', 'ECHO')),
    switched('with a length, which means nothing', ECHO.replace('Upgrade', 'Content-Length: 2\r\nUpgrade'), ECHO),
    switched('with chunks, which mean nothing', ECHO.replace('Upgrade', 'Transfer-Encoding: chunked\r\nUpgrade'), ECHO),
    switched('behind an interim response', HINTS + ECHO, HINTS + ECHO),
    foreign('another protocol than asked for', ECHO.replace('echo', 'h2c')),
    foreign('another version than asked for', ECHO.replace('echo', 'chat/3')),
    foreign('one asked for and another', ECHO.replace('echo', 'echo, h2c')),
    foreign('no protocol named', `${SWITCHING}\r\nConnection: upgrade\r\n\r\n`),
    foreign('an empty name', ECHO.replace('echo', '')),
    foreign('two Upgrade fields', ECHO.replace('Upgrade: echo', 'Upgrade: echo\r\nUpgrade: echo')),
    declined('asked for, and declined', OK, LENGTH_2, 'ok'),
    declined(
      '426, with the protocol that it wants',
      `HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nno`,
      'HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2',
      'no',
    ),
  ],
};
