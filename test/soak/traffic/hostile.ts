/** Clients that mean no good, or leave half-way. No request of theirs for /smuggled may reach a backend. */

import { LARGE_BYTES } from '../bodies.ts';
import type { Client, Trial } from '../client.ts';
import { WireError } from '../wire-client.ts';

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: plain.test\r\n\r\n';
const post = (lines: string, body: string) => `POST /post/x HTTP/1.1\r\nHost: plain.test\r\n${lines}\r\n\r\n${body}`;
const get = (lines: string) => `GET /small/x HTTP/1.1\r\n${lines}\r\n\r\n`;

/** Each is to be refused. */
export const ATTACKS: readonly string[] = [
  post('Content-Length: 6\r\nTransfer-Encoding: chunked', `0\r\n\r\n${SMUGGLED}`),
  post('Transfer-Encoding: chunked\r\nContent-Length: 4', `5c\r\n${SMUGGLED}0\r\n\r\n`),
  post('Transfer-Encoding: xchunked', `0\r\n\r\n${SMUGGLED}`),
  post('Transfer-Encoding : chunked', `0\r\n\r\n${SMUGGLED}`),
  post('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', `0\r\n\r\n${SMUGGLED}`),
  post('Content-Length: 0\r\nContent-Length: 44', SMUGGLED),
  post('Content-Length: +5', SMUGGLED),
  post('Content-Length: 0x5', SMUGGLED),
  post('Content-Length: 5, 5', SMUGGLED),
  post('X: y\nContent-Length: 44', SMUGGLED),
  post('X: y\r\n folded', SMUGGLED),
  get('Host: plain.test\r\nHost: sticky.test'),
  get('Host: plain.test\r\nX: \0'),
  get('X: no host'),
  get('Host: nobody.test'),
  get(`Host: plain.test\r\nX: ${'y'.repeat(40_000)}`),
  get(`Host: plain.test\r\n${'X: y\r\n'.repeat(200)}X: y`),
  'GET /small/x HTTP/2.0\r\nHost: plain.test\r\n\r\n',
  'GET  /small/x HTTP/1.1\r\nHost: plain.test\r\n\r\n',
  'CONNECT plain.test:80 HTTP/1.1\r\nHost: plain.test:80\r\n\r\n',
  '\x00\x01\x02\xff\xfe\r\n\r\n',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n',
];

export async function attack(client: Client, trial: Trial): Promise<void> {
  const connection = await client.connect(trial);
  client.name(trial);
  const text = client.world.random.pick(ATTACKS);
  connection.write(text);
  const { status } = await connection.response();
  const isRefused = status >= 400 && status <= 505 && (status < 502 || status === 505);
  if (!isRefused) throw new WireError('wrong', `status ${status} for ${JSON.stringify(text.slice(0, 100))}`);
  client.ok();
}

/** Leaves while the answer comes, or within its own body. */
export async function abort(client: Client, trial: Trial): Promise<void> {
  const { random } = client.world;
  const connection = await client.connect(trial);
  const id = client.name(trial);
  if (random.chance(0.5)) connection.write(client.head(trial, 'GET', `/large/${id}`));
  else connection.write(`${client.head(trial, 'POST', `/post/${id}`, `Content-Length: ${LARGE_BYTES}`)}half`);
  await client.pause(random.between(0, 60));
  if (client.version === null && random.chance(0.5)) connection.socket.resetAndDestroy();
  else connection.destroy();
  client.ok();
}
