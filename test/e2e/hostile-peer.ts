/** What a machine with a valid certificate can send to a member of a real cluster, well-formed or not. */

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { encode } from '@msgpack/msgpack';
import { frame } from '../../src/cluster/frames.ts';
import { encodeFrame } from '../../src/cluster/peer-codec.ts';
import type { Announce, ClusterId, ClusterStatus, ServerId } from '../../src/cluster/types.ts';
import type { Leaf } from '../cluster/certificates.ts';
import { dial } from '../cluster/transport-harness.ts';
import { type ClusterHarness, SUBJECT } from './cluster-harness.ts';
import { eventually } from './harness.ts';

/** Connects to a member's port for peers, and does no more; the handshake may fail. */
export function dialMember(t: TestContext, cluster: ClusterHarness, to: ServerId, leaf: Leaf | null): TLSSocket {
  return dial(t, cluster.port(to), leaf, { ca: cluster.authority.certificate }).socket;
}

export function helloOf(from: ServerId, to: ServerId, announce: Partial<Announce> = {}): Buffer {
  const position = { generation: 0, term: 0, index: 0 };
  const said: Announce = {
    ...{ type: 'announce', member: `${from}.evil`, cluster: null, leader: null, term: 0, excludes: null, position },
    ...announce,
  };
  return frame(encodeFrame({ type: 'hello', version: 1, serverId: from, to, announce: said }));
}

/** A connection to one member on which that takes messages. */
export interface HostilePeer {
  readonly socket: TLSSocket;
  /** A message of the consensus core, whatever it holds. */
  sendRaft(message: object): void;
}

/** Says hello to server `to` as `member`, and waits until it is let in. */
export async function letIn(
  t: TestContext,
  cluster: ClusterHarness,
  to: ClusterStatus,
  { member, id }: { member: string; id: ClusterId },
): Promise<HostilePeer> {
  const leaf = cluster.authority.issue(SUBJECT);
  const { socket, frames } = dial(t, cluster.port(to.serverId), leaf, { ca: cluster.authority.certificate });
  socket.write(helloOf(Number.parseInt(member, 10), to.serverId, { member, cluster: id }));
  await eventually(() => frames.some(({ type }) => type === 'hello'), 'an answer to a hello');
  return {
    socket,
    sendRaft: (message) => {
      const fields = { from: member, to: to.member, ...message };
      assert.ok(!socket.destroyed, 'it was closed already');
      socket.write(frame(encode({ type: 'raft', cluster: id, message: fields })));
    },
  };
}
