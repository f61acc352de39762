/** The group: who leads, who is there, how far each is. In the browser. */

import { byId, element, Icon, KeyedChildren, setAttribute, setText } from './dom.js';
import { count, span } from './format.js';

/**
 * @typedef {import('../events.ts').Snapshot} Snapshot
 * @typedef {Snapshot['cluster']} ClusterStatus
 * @typedef {ClusterStatus['members'][number]} MemberStatus
 * @typedef {{readonly key: string, readonly serverId: number, readonly member: MemberStatus | null,
 *   readonly isSelf: boolean, readonly isConnected: boolean | null, readonly address: string}} Server
 */

/** Heard of within this: now. */
const NOW_MS = 2_000;

export class ClusterView {
  /** @type {KeyedChildren<{server: Server, cluster: ClusterStatus}>} */
  #members = new KeyedChildren(byId('members'), createServer);

  /** @param {Snapshot} snapshot */
  show({ cluster }) {
    const { leader, term, role, serverId, peers } = cluster;
    const isAlone = peers.length === 0 && cluster.members.length <= 1;
    const led = leader === null ? 'no leader' : `led by server ${leader.serverId}`;
    setText(byId('group-summary'), isAlone ? 'this edge alone' : `${led}, term ${count(term)}`);
    this.#members.show(serversOf(cluster).map((server) => ({ key: server.key, item: { server, cluster } })));
    setText(byId('group-note'), noteOf(role, serverId, leader?.serverId ?? null, isAlone));
  }
}

/**
 * Where a change is in force: words for a confirmation.
 * @param {Snapshot} snapshot
 */
export function reachOf({ cluster }) {
  return cluster.peers.length === 0 ? 'this edge' : 'every edge of the group';
}

/**
 * @param {string} role
 * @param {number} self
 * @param {number | null} leader
 * @param {boolean} isAlone
 */
function noteOf(role, self, leader, isAlone) {
  if (isAlone) return 'Without stek_share an edge has ticket keys of its own.';
  if (role === 'fresh') return 'It looks for a group to join, or to found.';
  if (leader === null || leader === self) return '';
  return `As server ${self} sees it. How far each member is, the leader knows: server ${leader}.`;
}

/**
 * Members, and listed servers that are none.
 * @param {ClusterStatus} cluster
 * @returns {Server[]}
 */
function serversOf({ members, peers, serverId }) {
  const listed = new Map(peers.map((peer) => [peer.serverId, peer]));
  const servers = members.map((member) => {
    const peer = listed.get(member.serverId);
    const address = peer === undefined ? '' : `${peer.address}:${peer.port}`;
    const isConnected = member.isSelf ? null : (peer?.isConnected ?? false);
    return { key: member.member, serverId: member.serverId, member, isSelf: member.isSelf, isConnected, address };
  });
  const strangers = peers
    .filter((peer) => !members.some((member) => member.serverId === peer.serverId))
    .map(({ serverId: id, isConnected, address, port }) => {
      return {
        key: `listed ${id}`,
        serverId: id,
        member: null,
        isSelf: false,
        isConnected,
        address: `${address}:${port}`,
      };
    });
  const self = { key: 'self', serverId, member: null, isSelf: true, isConnected: null, address: '' };
  const isIn = members.some((member) => member.isSelf);
  return [...servers, ...strangers, ...(isIn ? [] : [self])].sort((a, b) => a.serverId - b.serverId);
}

function createServer() {
  const icon = new Icon();
  const [name, role, link, log] = [element('b'), element('span', 'tag'), element('span'), element('span', 'muted')];
  const node = element('li', '', icon.node, element('p', '', name, ' ', role), element('p', 'detail', link, log));
  /** @param {{server: Server, cluster: ClusterStatus}} item */
  const update = ({ server, cluster }) => {
    const isAway = server.isConnected === false;
    const isLeader = server.member?.isLeader ?? false;
    icon.show(isAway ? 'bad' : isLeader ? 'leader' : server.member === null ? 'note' : 'ok');
    setAttribute(node, 'data-away', String(isAway));
    setText(name, `Server ${server.serverId}`);
    setText(role, roleOf(server, cluster));
    setText(link, server.isConnected === null ? 'this edge' : isAway ? 'not connected' : 'connected');
    node.title = server.address;
    setText(log, logOf(server, cluster));
  };
  return { node, update };
}

/**
 * @param {Server} server
 * @param {ClusterStatus} cluster
 */
function roleOf({ member, isSelf, isConnected }, { role }) {
  if (member === null) return isSelf ? role : 'not in the group yet';
  if (member.isLeader) return 'leader';
  if (!member.isVoter) return 'learner';
  // what it takes itself for is not known
  if (isConnected === false) return 'voter';
  return isSelf ? role : 'follower';
}

/**
 * @param {Server} server
 * @param {ClusterStatus} cluster
 */
function logOf({ member, isSelf }, { lastIndex, applied, commit }) {
  if (member === null) return '';
  if (isSelf)
    return `log at ${count(lastIndex)}, applied ${count(applied)}${commit > applied ? ` of ${count(commit)}` : ''}`;
  if (member.match === null) return '';
  const behind = Math.max(0, lastIndex - member.match);
  const heard = member.lastContactMs === null ? 'not heard of' : heardOf(member.lastContactMs);
  return `${behind === 0 ? 'has all' : `${count(behind)} behind`}, ${heard}`;
}

/** @param {number} ms */
function heardOf(ms) {
  return ms < NOW_MS ? `heard of ${ms} ms ago` : `silent for ${span(ms)}`;
}
