/** Backends that break off: before, within and behind the head, within and behind the body, and before the request's end. */

import {
  type CaseGroup,
  type Client,
  FIN,
  passed,
  RECEIVED,
  type ResponseCase,
  RST,
  refused,
  relayed,
  type Seen,
  type Step,
  UPLOAD,
} from './response-case.ts';

const OK = 'HTTP/1.1 200 OK';
const LENGTH_10 = `${OK}\r\nContent-Length: 10`;
const CHUNKED = `${OK}\r\nTransfer-Encoding: chunked`;

const ENDINGS = [
  ['FIN', FIN],
  ['RST', RST],
] as const;

/** For each way to break off. */
function each(make: (how: string, ending: Step) => ResponseCase): ResponseCase[] {
  return ENDINGS.map(([how, ending]) => make(how, ending));
}

function cut(name: string, sent: string, ending: Step, head: string, body: string, content?: string): ResponseCase {
  const answer = content === undefined ? { head, body } : { head, body, content };
  return passed(name, [sent, RECEIVED, ending], { ...answer, isCut: true });
}

export const beforeHead: CaseGroup = {
  name: 'breaking off before the head is whole',
  cases: [
    ...each((how, ending) => refused(`at once, ${how}`, ending)),
    ...each((how, ending) => refused(`within the status line, ${how}`, 'HTTP/1.1 2', ending)),
    ...each((how, ending) => refused(`behind the status line, ${how}`, 'HTTP/1.1 200 OK\r\n', ending)),
    ...each((how, ending) => refused(`within a field, ${how}`, `${OK}\r\nContent-Le`, ending)),
    ...each((how, ending) => refused(`before the empty line, ${how}`, `${OK}\r\nContent-Length: 0\r\n`, ending)),
    ...each((how, ending) => refused(`within the empty line, ${how}`, `${OK}\r\nContent-Length: 0\r\n\r`, ending)),
  ],
};

export const truncations: CaseGroup = {
  name: 'truncated bodies',
  cases: [
    ...each((how, end) => cut(`a length, no content, ${how}`, `${LENGTH_10}\r\n\r\n`, end, LENGTH_10, '')),
    ...each((how, end) => cut(`a length, within, ${how}`, `${LENGTH_10}\r\n\r\nhello`, end, LENGTH_10, 'hello')),
    ...each((how, end) => cut(`chunks, no chunk, ${how}`, `${CHUNKED}\r\n\r\n`, end, OK, '', '')),
    ...each((how, end) => cut(`chunks, within a size, ${how}`, `${CHUNKED}\r\n\r\n1`, end, OK, '1', '')),
    ...each((how, end) => cut(`chunks, behind a size, ${how}`, `${CHUNKED}\r\n\r\n5\r\n`, end, OK, '5\r\n', '')),
    ...each((how, end) =>
      cut(`chunks, within a chunk, ${how}`, `${CHUNKED}\r\n\r\na\r\nhello`, end, OK, 'a\r\nhello', 'hello'),
    ),
    ...each((how, end) =>
      cut(`chunks, behind a chunk's content, ${how}`, `${CHUNKED}\r\n\r\n5\r\nhello`, end, OK, '5\r\nhello', 'hello'),
    ),
    ...each((how, end) =>
      cut(`chunks, between two, ${how}`, `${CHUNKED}\r\n\r\n5\r\nhello\r\n`, end, OK, '5\r\nhello\r\n', 'hello'),
    ),
    ...each((how, end) =>
      cut(
        `chunks, behind the last size, ${how}`,
        `${CHUNKED}\r\n\r\n5\r\nhello\r\n0\r\n`,
        end,
        OK,
        '5\r\nhello\r\n0\r\n',
        'hello',
      ),
    ),
    ...each((how, end) =>
      cut(
        `chunks, within the trailers, ${how}`,
        `${CHUNKED}\r\n\r\n5\r\nhello\r\n0\r\nX: y`,
        end,
        OK,
        '5\r\nhello\r\n0\r\n',
        'hello',
      ),
    ),
    cut('until close, no content, RST', `${OK}\r\n\r\n`, RST, OK, '', ''),
    cut('until close, within, RST', `${OK}\r\n\r\nhello`, RST, OK, '5\r\nhello\r\n', 'hello'),
    cut('until close in HTTP/1.0, RST', `HTTP/1.0 200 OK\r\n\r\nhello`, RST, OK, '5\r\nhello\r\n', 'hello'),
    cut(
      'until close for Connection: close, RST',
      `${OK}\r\nConnection: close\r\n\r\nhello`,
      RST,
      OK,
      '5\r\nhello\r\n',
      'hello',
    ),
  ],
};

const HEAD_413 = 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 2';

/** A response to a request that is still being sent: it is the last on both connections. */
function early(
  name: string,
  script: readonly Step[],
  answer: { head: string; body: string; interims?: string },
): ResponseCase {
  const seen = (client: Client): Seen => {
    // the request is not whole: whatever the client has asked for, its connection cannot go on
    const closing = client === '1.1' ? '1.1 close' : client === '1.0 keep-alive' ? '1.0' : client;
    return relayed(closing, answer);
  };
  return { name, request: UPLOAD, script, seen, isReused: false };
}

export const earlyResponses: CaseGroup = {
  name: "responses before the request's end",
  cases: [
    early('413 with a body', [`${HEAD_413}\r\n\r\nno`], { head: HEAD_413, body: 'no' }),
    early('413 with Connection: close', [`${HEAD_413}\r\nConnection: close\r\n\r\nno`], { head: HEAD_413, body: 'no' }),
    early('413 and the end', [`${HEAD_413}\r\n\r\nno`, FIN], { head: HEAD_413, body: 'no' }),
    early('413 and a reset', [`${HEAD_413}\r\n\r\nno`, RECEIVED, RST], { head: HEAD_413, body: 'no' }),
    early('200 without content', [`${OK}\r\nContent-Length: 0\r\n\r\n`], {
      head: `${OK}\r\nContent-Length: 0`,
      body: '',
    }),
    early('100 and 413', [`HTTP/1.1 100 Continue\r\n\r\n${HEAD_413}\r\n\r\nno`], {
      head: HEAD_413,
      body: 'no',
      interims: 'HTTP/1.1 100 Continue\r\n\r\n',
    }),
    ...each((how, ending) => ({ ...refused(`none, ${how}`, ending), request: UPLOAD, seen: refusedUpload })),
    { ...refused('garbage', 'garbage\r\n\r\n'), request: UPLOAD, seen: refusedUpload },
  ],
};

function refusedUpload(client: Client): Seen {
  return refused('', FIN).seen(client === '1.1' ? '1.1 close' : client) as Seen;
}
