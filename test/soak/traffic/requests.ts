/** Requests that any client makes: kept connections, one connection a request, bodies, pipelines. */

import { bodyOf, digestOf, LARGE_BYTES, SMALL_BYTES } from '../bodies.ts';
import type { Client, Trial } from '../client.ts';

const REQUESTS_MAX = 40;
const POST_BYTES_MAX = 200_000;
const BETWEEN_MS = 40;
const EMPTY = Buffer.alloc(0);

/** GET and HEAD on a kept connection. */
export async function keepAlive(client: Client, trial: Trial): Promise<void> {
  const { random } = client.world;
  const connection = await client.connect(trial);
  for (let left = random.between(3, REQUESTS_MAX); left > 0 && !client.isEnding; left--) {
    const id = client.name(trial);
    const isHead = random.chance(0.1);
    const [kind, bytes] = random.chance(0.04) ? (['large', LARGE_BYTES] as const) : (['small', SMALL_BYTES] as const);
    connection.write(client.head(trial, isHead ? 'HEAD' : 'GET', `/${kind}/${id}`));
    const response = await client.expect(trial, isHead ? EMPTY : bodyOf(id, bytes), isHead);
    client.ok();
    await client.pause(random.next() * 2 * BETWEEN_MS);
    if (!client.isKept(trial, response)) return;
  }
}

/** A connection for one request. */
export async function single(client: Client, trial: Trial): Promise<void> {
  const connection = await client.connect(trial);
  const id = client.name(trial);
  connection.write(client.head(trial, 'GET', `/small/${id}`, 'Connection: close'));
  await client.expect(trial, bodyOf(id, SMALL_BYTES));
  client.ok();
}

/** Bodies with a length and in chunks. */
export async function post(client: Client, trial: Trial): Promise<void> {
  const { random } = client.world;
  const connection = await client.connect(trial);
  for (let left = random.between(1, 8); left > 0 && !client.isEnding; left--) {
    const id = client.name(trial);
    const body = bodyOf(id, random.between(id.length + 2, random.chance(0.2) ? POST_BYTES_MAX : 2_000));
    if (random.chance(0.5)) {
      connection.write(client.head(trial, 'POST', `/post/${id}`, `Content-Length: ${body.length}`));
      connection.write(body);
    } else {
      connection.write(client.head(trial, 'POST', `/post/${id}`, 'Transfer-Encoding: chunked'));
      for (const chunk of pieces(body, random.between(1, 5))) connection.write(chunkOf(chunk));
      connection.write('0\r\n\r\n');
    }
    const response = await client.expect(trial, Buffer.from(digestOf(body)));
    client.ok();
    await client.pause(random.next() * 2 * BETWEEN_MS);
    if (!client.isKept(trial, response)) return;
  }
}

/** Several requests in one write: the answers come in their order. */
export async function pipeline(client: Client, trial: Trial): Promise<void> {
  const connection = await client.connect(trial);
  const ids = Array.from({ length: client.world.random.between(2, 8) }, () => client.name(trial));
  connection.write(ids.map((id) => client.head(trial, 'GET', `/small/${id}`)).join(''));
  for (const id of ids) {
    trial.id = id;
    await client.expect(trial, bodyOf(id, SMALL_BYTES));
  }
  client.ok();
}

export function pieces(body: Buffer, count: number): Buffer[] {
  const step = Math.ceil(body.length / count);
  return Array.from({ length: count }, (_, i) => body.subarray(i * step, (i + 1) * step)).filter(
    ({ length }) => length > 0,
  );
}

export function chunkOf(piece: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]);
}
