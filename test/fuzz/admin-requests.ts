/** Requests to the admin API as bytes, sound and absurd, and which of them may change something. Test support. */

import { mutate } from './mutations.ts';
import type { Random } from './random.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE', 'PUT', 'OPTIONS', 'TRACE', 'CONNECT', 'QUERY', 'post', 'X'];
const PATHS = [
  ...Array<string>(12).fill('/pools/demo/nodes'),
  ...Array<string>(8).fill('/pools/demo/nodes/127.0.0.1:1'),
  ...['/', '/healthz', '/readyz', '/status', '/metrics', '/events', '/reload', '/keys', '/keys/rotate', '/keys/revoke'],
  ...['/pools', '/pools/demo/nodes', '/pools/demo/nodes/127.0.0.1:1', '/pools/demo/nodes?node=127.0.0.1:1'],
  ...['/pools/demo/edits/127.0.0.1:1', '/pools/none/nodes', '/pools//nodes', '/pools/demo/nodes/', '/openapi.yaml'],
  ...['/pools/demo/nodes?offset=-1', '/pools/demo/nodes?offset=1e9&local=1', '/pools/demo/nodes?local=%zz&local=0'],
  ...['/pools/%64emo/nodes', '/pools/demo%2fnodes', '/pools/demo/nodes/%00', '/pools/%c0%ae/nodes', '/%', '/%2e%2e/'],
  ...['/../../etc/passwd', '//evil.example/', 'http://evil.example/status', '*', '/\xff', '/app.js', '/__proto__'],
  ...['/pools/__proto__/nodes', '/pools/constructor/nodes', `/pools/${'x'.repeat(5_000)}/nodes`, '/status?x=[]'],
  ...['/pools/demo/nodes/[::1]:80', '/pools/demo/nodes/127.0.0.1:1/', '/status#x', '/status%20', '/STATUS'],
];
const HOSTS = ['localhost', 'localhost:1', '127.0.0.1', '[::1]:9', 'LOCALHOST'];
const FOREIGN = [
  'evil.example',
  'localhost.evil.example',
  '127.0.0.1.nip.io',
  '',
  'a b',
  'localhost@evil',
  '[::1',
  '0',
];
const NODE = '10.0.0.9:80';
const BODIES: readonly (() => string)[] = [
  ...Array(6).fill(() => JSON.stringify({ drain: true })),
  ...Array(6).fill(() => JSON.stringify({ address: NODE })),
  () => JSON.stringify({ address: NODE }),
  () => JSON.stringify({ address: NODE, weight: 3, drain: true }),
  () => JSON.stringify({ drain: true, local: true }),
  () => JSON.stringify({ address: NODE, weight: 1e308, drain: 'yes', local: 1, x: null }),
  () => '{"address":"10.0.0.9:80","address":"10.0.0.8:80","__proto__":{"local":true},"constructor":{}}',
  () => '{"__proto__":null}',
  () => '[]',
  () => 'null',
  () => '"\\ud800"',
  () => '-0',
  () => '1e999',
  () => '{',
  () => '',
  () => ' ',
  () => '\ufeff{}',
  () => '['.repeat(8_000),
  () => `${'{"a":'.repeat(2_000)}1${'}'.repeat(2_000)}`,
  () => JSON.stringify({ address: 'x'.repeat(15_000) }),
  () => JSON.stringify({ address: 'x'.repeat(40_000) }),
  () => '\0\xff\x80',
];
const TYPES = [
  'application/json',
  'application/json',
  'application/json; charset=utf-8',
  'text/plain',
  '',
  'APPLICATION/JSON',
]
  .concat(['application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/jsonx', 'a/b'])
  .concat(['application/json, text/plain', 'application/json\t;x']);
const ODD_LINES = [
  ...['Origin: http://evil.example', 'Origin: null', 'Origin: http://localhost:1', 'Origin: x', 'Origin: '],
  ...['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Site: same-site', 'Sec-Fetch-Site: same-origin', 'Sec-Fetch-Site: none'],
  ...['Expect: 100-continue', 'Expect: x', 'Upgrade: websocket', 'Connection: keep-alive, upgrade', 'TE: trailers'],
  ...['Content-Encoding: gzip', 'Accept: x', 'Accept-Encoding: gzip', 'If-None-Match: *', 'Range: bytes=0-1'],
  ...['X-HTTP-Method-Override: DELETE', 'X-Forwarded-Host: localhost', 'Forwarded: host=localhost', 'Cookie: a=b'],
  ...[`X-Long: ${'x'.repeat(17_000)}`, ...['Last-Event-ID: 1', 'Host: localhost', 'Host: evil.example']],
];

function authorization(random: Random, token: string): string[] {
  const kinds = [
    `Bearer ${token}`,
    `Bearer ${token}`,
    `bearer  ${token} `,
    `Bearer ${token}x`,
    `Bearer ${token.slice(1)}`,
  ];
  const kind = random.pick([...kinds, 'Bearer ', `Basic ${token}`, token, `Bearer ${'x'.repeat(8_000)}`, null]);
  return kind === null ? [] : [`Authorization: ${kind}`];
}

function framed(random: Random, body: string): string {
  const length = Buffer.byteLength(body);
  switch (random.below(14)) {
    case 0:
      return `Transfer-Encoding: chunked\r\n\r\n${length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    case 1:
      return `Transfer-Encoding: chunked\r\n\r\n${random.pick(['-1', 'zz', '', 'fffffffff', '5;x'])}\r\n${body}\r\n0\r\n\r\n`;
    case 2:
      return `Content-Length: ${random.pick([length + 5, length - 1, -1, '1e3', '99999999999', '+5'])}\r\n\r\n${body}`;
    case 3:
      return `Content-Length: ${length}\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
    default:
      return body === '' ? '\r\n' : `Content-Length: ${length}\r\n\r\n${body}`;
  }
}

/** Latin1 of what is UTF-8 in bodies; a request line, fields and a body, damaged now and then. */
export function adminRequest(random: Random, token: string | null): Buffer {
  const method = random.below(3) === 0 ? random.pick(METHODS) : random.pick(METHODS.slice(0, 5));
  const host = random.below(6) === 0 ? random.pick(FOREIGN) : random.pick(HOSTS);
  const lines = [`${method} ${random.pick(PATHS)} HTTP/1.${random.below(12) === 0 ? 0 : 1}`];
  if (random.below(25) > 0) lines.push(`Host: ${host}`);
  if (token !== null) lines.push(...authorization(random, token));
  while (random.below(3) === 0) lines.push(random.pick(ODD_LINES));
  const hasBody = method !== 'GET' && random.below(5) > 0;
  if (hasBody && random.below(6) > 0) lines.push(`Content-Type: ${random.pick(TYPES)}`);
  const text = `${lines.join('\r\n')}\r\n${framed(random, hasBody ? random.pick(BODIES)() : '')}`;
  const bytes = Buffer.from(text);
  if (random.below(4) > 0) return bytes;
  return Buffer.from(mutate(bytes.toString('latin1'), random.next(), 1 + random.below(2)), 'latin1');
}

/** Whether a server that reads it most kindly could let the request change something. */
export function mayChange(bytes: Buffer, token: string | null): boolean {
  const text = bytes.toString('latin1');
  const head = text.slice(0, text.indexOf('\r\n\r\n') < 0 ? text.length : text.indexOf('\r\n\r\n'));
  const values = (name: string) =>
    [...head.matchAll(new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*\\r?$`, 'gim'))].map(([, value]) => value as string);
  if (!/^[\r\n]*(POST|PATCH|DELETE) /.test(text)) return false;
  if (token !== null) {
    if (!values('authorization').some((value) => new RegExp(`^bearer +${token} *$`, 'i').test(value))) return false;
  } else if (!values('host').some((host) => /^(localhost|127\.0\.0\.1|\[::1\])(:\d*)?$/i.test(host))) return false;
  const hosts = values('host').map((host) => host.toLowerCase());
  const isOwn = (origin: string) => hosts.includes(origin.replace(/^https?:\/\//, '').toLowerCase());
  if (!values('origin').every(isOwn)) return false;
  if (!values('sec-fetch-site').every((site) => /^(same-origin|none)$/.test(site))) return false;
  return values('content-type').every((type) => /^application\/json\s*(;|$)/i.test(type));
}
