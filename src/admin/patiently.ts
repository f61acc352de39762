/** Main thread. */

import type { FastifyRequest } from 'fastify';

/** A request, as far as it matters here. */
export type Asking = Pick<FastifyRequest, 'raw'>;

/** What takes longer than a connection may stand still, as a group has to agree first, or others come first; it is bounded of itself. */
export async function patiently<T>({ raw: { socket } }: Asking, work: Promise<T>): Promise<T> {
  const idleTimeoutMs = socket.timeout ?? 0;
  socket.setTimeout(0);
  try {
    return await work;
  } finally {
    socket.setTimeout(idleTimeoutMs);
  }
}
