/**
 * What lies between the edges of a soak, in a process of its own: `node peer-network.ts` gets the ports of all over IPC, opens
 * a relay for each way between two of them, and cuts off one edge, or none, as it is told.
 */

import { once } from 'node:events';
import net from 'node:net';

const HOST = '127.0.0.1';

export type ToNetwork = { readonly type: 'open'; readonly ports: Readonly<Record<number, number>> } | CutOff;
export interface CutOff {
  readonly type: 'cut';
  /** Null: all reach one another. */
  readonly edge: number | null;
}
/** By "FROM-TO": where FROM reaches TO. */
export interface FromNetwork {
  readonly relays: Readonly<Record<string, number>>;
}

const open = new Map<net.Socket, readonly number[]>();
let cutOff: number | null = null;

process.on('message', (message: ToNetwork) => {
  if (message.type === 'open') void openAll(message.ports);
  else cut(message.edge);
});
process.on('disconnect', () => process.exit(0));

async function openAll(ports: Readonly<Record<number, number>>): Promise<void> {
  const relays: Record<string, number> = {};
  const ids = Object.keys(ports).map(Number);
  for (const from of ids) {
    for (const to of ids) {
      if (from !== to) relays[`${from}-${to}`] = await relay([from, to], ports[to] as number);
    }
  }
  process.send?.({ relays });
}

async function relay(ends: readonly [number, number], port: number): Promise<number> {
  const server = net.createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {});
    if (cutOff !== null && ends.includes(cutOff)) {
      socket.destroy();
      return;
    }
    const onward = net.connect({ host: HOST, port, noDelay: true });
    onward.on('error', () => {});
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      open.set(one, ends);
      one.pipe(other);
      one.on('close', () => {
        open.delete(one);
        other.destroy();
      });
    }
  });
  server.listen(0, HOST);
  await once(server, 'listening');
  return (server.address() as net.AddressInfo).port;
}

function cut(edge: number | null): void {
  cutOff = edge;
  for (const [socket, ends] of open) if (edge !== null && ends.includes(edge)) socket.destroy();
}
