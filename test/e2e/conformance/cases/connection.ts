/** RFC 9112 section 9 and RFC 9110 sections 7.6, 7.8 and 10.1: the connection, pipelining, Expect, Upgrade, TE; and limits. */

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

const GET = 'GET / HTTP/1.1';
const field = (...lines: string[]) => request(lines, '', GET);

export const CONNECTION: Case[] = group('Connection (RFC 9110, 7.6.1)', [
  [
    'close, and a request behind it',
    field('Connection: close') + SMUGGLED,
    { ...forwarded(get('/', { connection: null })), closes: true },
  ],
  ['CLOSE', field('Connection: CLOSE') + SMUGGLED, { ...forwarded(get()), closes: true }],
  ['close among others', field('Connection: keep-alive, X, close') + SMUGGLED, { ...forwarded(get()), closes: true }],
  [
    'close on the second line',
    field('Connection: keep-alive', 'Connection: close') + SMUGGLED,
    { ...forwarded(get()), closes: true },
  ],
  [
    'keep-alive',
    field('Connection: keep-alive', 'Keep-Alive: timeout=5') + SMUGGLED,
    forwarded(get('/', { connection: null, 'keep-alive': null }), get('/smuggled')),
  ],
  [
    'Proxy-Connection',
    field('Proxy-Connection: close') + SMUGGLED,
    forwarded(get('/', { 'proxy-connection': null }), get('/smuggled')),
  ],
  [
    'names a field',
    field('Connection: X-Hop', 'X-Hop: 1', 'X-End: 2'),
    forwarded(get('/', { 'x-hop': null, 'x-end': '2' })),
  ],
  [
    'names a field that stands before it, in other letters',
    field('x-hop: 1', 'Connection: close, X-HOP'),
    { ...forwarded(get('/', { 'x-hop': null })), closes: true },
  ],
  ['names a field that is not there', field('Connection: X-Hop'), forwarded(get())],
  ['empty', field('Connection:'), forwarded(get())],
  ['commas alone', field('Connection: , ,'), forwarded(get())],
  ...['Content-Length', 'Host', 'Transfer-Encoding', 'Connection', 'content-length', 'HOST'].map(
    (name) =>
      [
        `names ${name}`,
        request([`Connection: ${name}`, 'Content-Length: 5'], `abcde${SMUGGLED}`),
        refused(400),
      ] as const,
  ),
  [
    'names Content-Length after close',
    request(['Connection: close, Content-Length', 'Content-Length: 5'], 'abcde'),
    refused(400),
  ],
  [
    'names Content-Length with a tab',
    request(['Connection:\tContent-Length\t,', 'Content-Length: 5'], 'abcde'),
    refused(400),
  ],
  ['names Transfer-Encoding, chunked', chunked('0\r\n\r\n', 'Connection: Transfer-Encoding'), refused(400)],
  [
    'names X-Forwarded-For',
    field('Connection: X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto'),
    forwarded(get('/', { 'x-forwarded-for': '127.0.0.1', 'x-forwarded-host': TAG, 'x-forwarded-proto': 'http' })),
  ],
  ['names Cookie', field('Connection: Cookie', 'Cookie: a=b'), forwarded(get('/', { cookie: null }))],
  ['is no list of tokens', field('Connection: a b'), refused(400)],
  ['holds a quoted string', field('Connection: "close"'), refused(400)],
  ['holds a semicolon', field('Connection: close;a'), refused(400)],
  ['holds an 8-bit letter', field('Connection: clos\xe9'), refused(400)],
  ['names 33 fields', field(`Connection: ${Array.from({ length: 33 }, (_, i) => `a${i}`).join(',')}`), refused(400)],
]);

export const TE: Case[] = group('TE (RFC 9110, 10.1.4)', [
  ['trailers', field('TE: trailers', 'Connection: TE'), forwarded(get('/', { te: null, connection: null }))],
  ['without Connection', field('TE: trailers'), forwarded(get('/', { te: null }))],
  ['chunked', field('TE: chunked'), forwarded(get('/', { te: null }))],
  ['deflate;q=0.5', field('TE: deflate;q=0.5, trailers'), forwarded(get('/', { te: null }))],
  ['two lines', field('TE: trailers', 'te: gzip'), forwarded(get('/', { te: null }))],
]);

const GET_A = `GET /a HTTP/1.1\r\nHost: ${TAG}\r\n\r\n`;
const POST_B = `POST /b HTTP/1.1\r\nHost: ${TAG}\r\nContent-Length: 3\r\n\r\nabc`;
const POST_C = `POST /c HTTP/1.1\r\nHost: ${TAG}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n`;
const a = get('/a');
const b = post('abc', undefined, '/b');
const c = post('de', undefined, '/c');

export const PIPELINING: Case[] = group('Pipelining and persistence (RFC 9112, 9.3)', [
  ['two requests', GET_A + GET_A, forwarded(a, a)],
  ['requests with and without bodies', GET_A + POST_B + POST_C + GET_A, forwarded(a, b, c, a)],
  ['ten requests', GET_A.repeat(10), forwarded(...Array.from({ length: 10 }, () => a))],
  ['an empty line between', `${GET_A}\r\n${GET_A}`, forwarded(a, a)],
  ['two empty lines between', `${GET_A}\r\n\r\n${GET_A}`, { ...forwarded(a), refusal: [400] }],
  ['a bare LF between', `${GET_A}\n${GET_A}`, { ...forwarded(a), refusal: [400] }],
  [
    'a faulty one behind',
    `${GET_A}GET / HTTP/1.1\r\nHost : ${TAG}\r\n\r\n${GET_A}`,
    { ...forwarded(a), refusal: [400] },
  ],
  ['a faulty one behind a body', `${POST_B}\0`, { ...forwarded(b), refusal: [400] }],
  ['letters behind a body', `${POST_B}garbage\r\n\r\n${GET_A}`, { ...forwarded(b), refusal: [400] }],
  ['letters behind a chunked body', `${POST_C}garbage\r\n\r\n${GET_A}`, { ...forwarded(c), refusal: [400] }],
  [
    'CONNECT behind',
    `${GET_A}CONNECT ${TAG}:1 HTTP/1.1\r\nHost: ${TAG}\r\n\r\n${GET_A}`,
    { ...forwarded(a), refusal: [501] },
  ],
  ['close within', GET_A + field('Connection: close') + GET_A, { ...forwarded(a, get()), closes: true }],
  [
    'a HEAD between',
    `${GET_A}HEAD /a HTTP/1.1\r\nHost: ${TAG}\r\n\r\n${POST_B}`,
    forwarded(a, { method: 'HEAD', target: '/a' }, b),
  ],
]);

const expect = (value: string, target = '/') =>
  request([`Expect: ${value}`, 'Content-Length: 5'], 'abcde', `POST ${target} HTTP/1.1`);
const last = (body: string): Expectation => ({
  ...forwarded(post(body, undefined, '/no-continue')),
  isLast: true,
  mayBeEarly: true,
});

export const EXPECT: Case[] = group('Expect (RFC 9110, 10.1.1)', [
  [
    '100-continue, the body sent at once',
    expect('100-continue') + SMUGGLED,
    forwarded(post('abcde', { expect: '100-continue' }), get('/smuggled')),
  ],
  ['100-Continue', expect('100-Continue'), forwarded(post('abcde'))],
  ['100-continue of a chunked body', chunked('3\r\nabc\r\n0\r\n\r\n', 'Expect: 100-continue'), forwarded(post('abc'))],
  ['100-continue without a body', field('Expect: 100-continue') + SMUGGLED, forwarded(get(), get('/smuggled'))],
  [
    '100-continue twice',
    request(['Expect: 100-continue', 'Expect: 100-continue', 'Content-Length: 3'], 'abc'),
    forwarded(post('abc')),
  ],
  [
    '100-continue of HTTP/1.0',
    `POST /${TAG} HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc`,
    { ...forwarded({ method: 'POST', target: `/${TAG}`, body: 'abc', fields: { expect: null } }), closes: true },
  ],
  ['100-continue to a backend that answers without it', expect('100-continue', '/no-continue'), last('abcde')],
  [
    'the same, a request in the body',
    request(['Expect: 100-continue', `Content-Length: ${SMUGGLED.length}`], SMUGGLED, 'POST /no-continue HTTP/1.1'),
    last(SMUGGLED),
  ],
  ['another expectation', expect('200-ok') + SMUGGLED, refused(417)],
  ['a word before it', expect('y 100-continue') + SMUGGLED, refused(417)],
  ['a word behind it', expect('100-continue y') + SMUGGLED, refused(417)],
  ['a list', expect('100-continue, 100-continue') + SMUGGLED, refused(417)],
  ['a parameter', expect('100-continue;a=b') + SMUGGLED, refused(417)],
  ['empty', expect('') + SMUGGLED, refused(417)],
  ['a vertical tab before it', expect('\x0b100-continue') + SMUGGLED, refused(400)],
  ['on a folded line', expect('\r\n 100-continue') + SMUGGLED, refused(400)],
]);

const WEBSOCKET = ['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];
const upgrade = (protocol: string, target = '/switch') =>
  request(['Connection: upgrade', `Upgrade: ${protocol}`, ...WEBSOCKET], '', `GET ${target} HTTP/1.1`);
const not = (target = '/switch'): Expectation => forwarded(get(target, { upgrade: null, connection: null }));

export const UPGRADE: Case[] = group('Upgrade (RFC 9110, 7.8)', [
  [
    'websocket, accepted',
    `${upgrade('websocket')}hello`,
    { ...forwarded(get('/switch', { upgrade: 'websocket', connection: 'upgrade' })), echo: 'hello', isLast: true },
  ],
  [
    'accepted, a request behind it',
    upgrade('websocket') + SMUGGLED,
    { ...forwarded(get('/switch')), echo: SMUGGLED, isLast: true },
  ],
  [
    'websocket, not accepted, a request behind it',
    upgrade('websocket', '/') + SMUGGLED,
    forwarded(get('/', { upgrade: 'websocket' }), get('/smuggled')),
  ],
  ['without Connection', request(['Upgrade: websocket'], '', 'GET /switch HTTP/1.1'), not()],
  [
    'of HTTP/1.0',
    `GET /switch HTTP/1.0\r\nHost: ${TAG}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n`,
    { ...not(), closes: true },
  ],
  ['two lines', request(['Connection: upgrade', 'Upgrade: websocket', 'Upgrade: h2c'], '', GET), refused(400)],
  ['empty', upgrade(''), not()],
  ['malformed', upgrade('web socket'), not()],
  [
    'h2c',
    request(
      ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'],
      '',
      'GET /switch HTTP/1.1',
    ),
    forwarded(get('/switch', { upgrade: null, connection: null, 'http2-settings': null })),
  ],
  [
    'h2c without HTTP2-Settings in Connection',
    request(['Connection: Upgrade', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'], '', 'GET /switch HTTP/1.1'),
    forwarded(get('/switch', { upgrade: null, 'http2-settings': null })),
  ],
  ['H2C', upgrade('H2C'), not()],
  ['h2c among others', upgrade('websocket, h2c'), not()],
  ['h2c with a version', upgrade('h2c/2'), not()],
  ['HTTP/2.0', upgrade('HTTP/2.0'), not()],
  ['TLS/1.0', upgrade('TLS/1.0', '/'), forwarded(get('/', { upgrade: 'TLS/1.0' }))],
  ['h2c, the preface behind it', `${upgrade('h2c')}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`, { ...not(), refusal: [505] }],
  [
    'with a body',
    request(
      ['Connection: upgrade', 'Upgrade: websocket', `Content-Length: ${SMUGGLED.length}`],
      SMUGGLED,
      'POST /switch HTTP/1.1',
    ),
    forwarded(post(SMUGGLED, { upgrade: null }, '/switch')),
  ],
  [
    'with a chunked body',
    request(
      ['Connection: upgrade', 'Upgrade: websocket', 'Transfer-Encoding: chunked'],
      `3\r\nabc\r\n0\r\n\r\n${SMUGGLED}`,
      'POST /switch HTTP/1.1',
    ),
    forwarded(post('abc', { upgrade: null }, '/switch'), get('/smuggled')),
  ],
  [
    'with a body and Expect',
    request(
      ['Connection: upgrade', 'Upgrade: websocket', 'Expect: 100-continue', 'Content-Length: 3'],
      'abc',
      'POST /switch HTTP/1.1',
    ),
    forwarded(post('abc', { upgrade: null }, '/switch')),
  ],
]);

export const LIMITS: Case[] = group('Limits (those of stekbal set low)', [
  [
    'a target at the limit',
    `GET /${'a'.repeat(255)} HTTP/1.1\r\nHost: ${TAG}\r\n\r\n`,
    forwarded(get(`/${'a'.repeat(255)}`)),
  ],
  ['a target beyond the limit', `GET /${'a'.repeat(256)} HTTP/1.1\r\nHost: ${TAG}\r\n\r\n`, refused(414)],
  [
    'as many fields as allowed',
    request(
      Array.from({ length: 31 }, (_, i) => `X${i}: y`),
      '',
      GET,
    ),
    forwarded(get('/', { x30: 'y' })),
  ],
  [
    'a field too many',
    request(
      Array.from({ length: 32 }, (_, i) => `X${i}: y`),
      '',
      GET,
    ),
    refused(431),
  ],
  ['a head beyond the limit', field(`X: ${'y'.repeat(1100)}`), refused(431)],
  ['a head without end', `GET / HTTP/1.1\r\nHost: ${TAG}\r\nX: ${'y'.repeat(1100)}`, refused(431)],
  ['a method without end', 'A'.repeat(1100), refused(400)],
  ['a target without end', `GET /${'a'.repeat(1100)}`, refused(414)],
]);
