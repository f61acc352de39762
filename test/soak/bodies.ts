/** Bodies that tell which request they belong to, made alike by the backends and by the clients that check them. */

import { createHash } from 'node:crypto';

export const SMALL_BYTES = 200;
export const LARGE_BYTES = 2 ** 20;

/** One block for all, without any period: a body is a slice of it. */
const BLOCK = Buffer.alloc(LARGE_BYTES * 2);
for (let at = 0, n = 0; at < BLOCK.length; at += 32) createHash('sha256').update(`${n++}`).digest().copy(BLOCK, at);

/** Begins with the id, and goes on with bytes of its own: no other request's body is the same. */
export function bodyOf(id: string, bytes: number): Buffer {
  const name = Buffer.from(`${id}\n`);
  const start = createHash('sha1').update(id).digest().readUInt32BE(0) % LARGE_BYTES;
  return Buffer.concat([name, BLOCK.subarray(start, start + bytes - name.length)]);
}

export function eventText(id: string, index: number): string {
  return `data: ${id} ${index}\n\n`;
}

export function digestOf(body: Buffer): string {
  return `${createHash('sha1').update(body).digest('hex')} ${body.length}`;
}

export function affinityIdOf(address: string): string {
  return createHash('sha1').update(address).digest('hex');
}
