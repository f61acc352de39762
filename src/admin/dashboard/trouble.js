/**
 * What is wrong, worst first: what an operator should see before all else. Pure, in the browser.
 *
 * @typedef {import('../events.ts').Snapshot} Snapshot
 * @typedef {import('../../control/status.ts').PoolStatus} PoolStatus
 * @typedef {import('../../control/status.ts').NodeStatus} NodeStatus
 * @typedef {{replaced: number, refused: number}} News
 *
 * bad: requests or the group suffer. warn: they would if more went wrong. note: for knowing.
 * @typedef {'bad' | 'warn' | 'note'} Severity
 * @typedef {{readonly severity: Severity, readonly what: string, readonly then: string}} Trouble
 */

import { count, plural, span } from './format.js';

const SEVERITIES = /** @type {const} */ (['bad', 'warn', 'note']);
/** Nodes and servers named in one line. */
const NAMED_MAX = 3;
/** A member that the leader has not heard of for this long. */
const SILENT_MS = 2_000;
/** A rotation may wait for a member that has just fallen silent. */
const OVERDUE_FACTOR = 1.1;
const OVERDUE_MS = 5_000;

/**
 * @param {Snapshot} snapshot
 * @param {News} news
 * @returns {Trouble[]}
 */
export function troublesOf(snapshot, news) {
  const all = [
    ...edgeTroubles(snapshot),
    ...workerTroubles(snapshot, news),
    ...snapshot.pools.flatMap(poolTroubles),
    ...groupTroubles(snapshot, news),
    ...keyTroubles(snapshot),
  ];
  return all.sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
}

/**
 * The state that counts where one is drained and down, say.
 * @param {NodeStatus} node
 * @returns {'down' | 'failing' | 'draining' | 'up'}
 */
export function stateOf({ health, drain }) {
  if (health.state !== 'up') return health.state;
  return drain ? 'draining' : 'up';
}

/**
 * @param {Snapshot} snapshot
 * @returns {Trouble[]}
 */
function edgeTroubles({ isDraining, readiness }) {
  if (isDraining)
    return [warn('This edge is draining', 'It takes no new connections, and ends when those it has are done.')];
  if (readiness.isReady) return [];
  return [bad('This edge is not ready for requests', sentence(readiness.reasons.join('; ')))];
}

/**
 * @param {Snapshot} snapshot
 * @param {News} news
 * @returns {Trouble[]}
 */
function workerTroubles({ workers, isDraining }, news) {
  const troubles = [];
  const serving = workers.list.filter(({ state }) => state === 'serving').length;
  const missing = workers.threads - serving;
  if (serving === 0 && !isDraining) troubles.push(bad('No worker serves', 'Connections are not accepted.'));
  else if (missing > 0 && !isDraining)
    troubles.push(warn(`${serving} of ${plural(workers.threads, 'worker')} serve`, 'Another is being started.'));
  if (news.replaced > 0) {
    const what = `${plural(news.replaced, 'worker')} died or hung in the last ten minutes`;
    troubles.push(warn(what, 'Its connections broke, and another took its place. The log says why.'));
  }
  return troubles;
}

/**
 * @param {PoolStatus} pool
 * @returns {Trouble[]}
 */
function poolTroubles({ name, nodeCount, counts, nodes }) {
  if (nodeCount === 0) return [bad(`Pool ${name} has no nodes`, 'Its services answer 503.')];
  /** @param {string} wanted */
  const those = (wanted) => nodes.filter((node) => stateOf(node) === wanted);
  // all states that there are, and of the nodes those that are listed
  const { down, failing, draining } = counts;
  const troubles = [];
  if (down === nodeCount) {
    troubles.push(bad(`Pool ${name}: all nodes are down`, `Its services answer 503. ${named(those('down'), down)}`));
  } else if (down > 0) {
    troubles.push(
      warn(`Pool ${name}: ${count(down)} of ${plural(nodeCount, 'node')} down`, named(those('down'), down)),
    );
  }
  if (failing > 0 && failing + down === nodeCount) {
    troubles.push(bad(`Pool ${name}: requests fail on every node`, named(those('failing'), failing)));
  } else if (failing > 0) {
    const what = `Pool ${name}: requests fail on ${plural(failing, 'node')}`;
    troubles.push(warn(what, named(those('failing'), failing)));
  }
  const isClosed = counts.up === 0 && nodes.every((node) => node.drain);
  if (isClosed) troubles.push(warn(`Pool ${name}: every node is draining`, 'No node takes new clients.'));
  else if (draining > 0)
    troubles.push(note(`Pool ${name}: ${plural(draining, 'node')} draining`, named(those('draining'), draining)));
  return troubles;
}

/**
 * @param {Snapshot} snapshot
 * @param {News} news
 * @returns {Trouble[]}
 */
function groupTroubles({ cluster }, news) {
  const { leader, members, peers, role, isStorageFailed } = cluster;
  const troubles = [];
  if (isStorageFailed)
    troubles.push(bad('The log of the group cannot be written', 'This edge takes no part in the group until it can.'));
  const away = peers.filter(({ isConnected }) => !isConnected);
  if (leader === null) {
    const isCut = peers.length > 0 && away.length * 2 > peers.length;
    const why = isCut ? ' Too few servers can be reached to elect one.' : '';
    troubles.push(
      bad('The group has no leader', `Keys do not rotate, and pools cannot be changed; requests are served on.${why}`),
    );
  }
  if (away.length > 0) {
    const servers = away.map(({ serverId, address, port }) => `server ${serverId} (${address}:${port})`);
    const isLast = away.length * 2 > peers.length - 1 && peers.length > 1 && leader !== null;
    const then = isLast ? `${list(servers)}. One more, and the group has no majority.` : `${list(servers)}.`;
    troubles.push(warn(`${plural(away.length, 'server')} of the group not connected`, then));
  }
  const silent = role === 'leader' ? members.filter((m) => !m.isSelf && (m.lastContactMs ?? Infinity) > SILENT_MS) : [];
  const unsaid = silent.filter(({ serverId }) => !away.some((peer) => peer.serverId === serverId));
  if (unsaid.length > 0)
    troubles.push(
      warn(`${plural(unsaid.length, 'member')} silent`, `${list(unsaid.map((m) => `server ${m.serverId}`))}.`),
    );
  if (news.refused > 0) {
    const reasons = Object.entries(cluster.refusals).filter(([, times]) => times > 0);
    const what = `${plural(news.refused, 'connection')} to the group's port refused in the last ten minutes`;
    troubles.push(warn(what, `Since the start: ${list(reasons.map(([reason, times]) => `${reason} ${times}`))}.`));
  }
  return troubles;
}

/**
 * @param {Snapshot} snapshot
 * @returns {Trouble[]}
 */
function keyTroubles({ keys, canary, cluster }) {
  const troubles = [];
  const { isIssuing, activeAgeMs, intervalMs } = keys;
  if (!isIssuing) {
    const why = activeAgeMs === null ? 'No key is active.' : 'The active key is too old, and the group makes no other.';
    troubles.push(bad('No session tickets are issued', `${why} New TLS clients cannot resume.`));
  } else if (
    activeAgeMs !== null &&
    activeAgeMs > intervalMs * OVERDUE_FACTOR + OVERDUE_MS &&
    cluster.leader !== null
  ) {
    troubles.push(warn('The rotation of ticket keys is overdue', `The active key should last ${span(intervalMs)}.`));
  }
  if (canary?.isFailing)
    troubles.push(bad('The canary fails', 'A TLS session of one edge does not resume at another. The log says which.'));
  return troubles;
}

/**
 * @param {readonly NodeStatus[]} nodes
 * @param {number} number Of which there are in all.
 */
function named(nodes, number) {
  const byReason = Map.groupBy(nodes, ({ health }) => health.reason);
  const parts = [...byReason].map(([reason, those]) => {
    const addresses = list(those.map(({ address }) => address));
    return reason === '' ? addresses : `${addresses}: ${reason}`;
  });
  if (nodes.length === 0) return 'None of them is listed here.';
  return `${list(parts)}${number > nodes.length ? `, and ${count(number - nodes.length)} that are not listed here` : ''}.`;
}

/** @param {readonly string[]} items */
function list(items) {
  const more = items.length - NAMED_MAX;
  return items.slice(0, NAMED_MAX).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

/** @param {string} text */
function sentence(text) {
  return text === '' ? '' : `${text[0]?.toUpperCase()}${text.slice(1)}.`;
}

/**
 * @param {string} what
 * @param {string} then
 * @returns {Trouble}
 */
function bad(what, then) {
  return { severity: 'bad', what, then };
}

/**
 * @param {string} what
 * @param {string} then
 * @returns {Trouble}
 */
function warn(what, then) {
  return { severity: 'warn', what, then };
}

/**
 * @param {string} what
 * @param {string} then
 * @returns {Trouble}
 */
function note(what, then) {
  return { severity: 'note', what, then };
}
