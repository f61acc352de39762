/** The part of GET /metrics that is about the group of edges, as this one sees it. Main thread. */

import type { MetricsView } from '../control/metrics-view.ts';
import type { Exposition, Sample } from './exposition.ts';

type Cluster = MetricsView['status']['cluster'];
type Member = Cluster['members'][number];

export function writeClusterMetrics(out: Exposition, cluster: Cluster): void {
  out.gauge('raft_term', "The cluster's term, as far as this member knows", cluster.term);
  out.gauge('raft_is_leader', '1 where this member leads the cluster, 0 where not', Number(cluster.role === 'leader'));
  out.gauge(
    'raft_has_leader',
    '1 where this member knows who leads the cluster, 0 where not',
    Number(cluster.leader !== null),
  );
  const voters = cluster.members.filter(({ isVoter }) => isVoter).length;
  out.gauge('raft_members', 'Members of the cluster, as far as this one knows', [
    [{ role: 'voter' }, voters],
    [{ role: 'learner' }, cluster.members.length - voters],
  ]);
  out.gauge('raft_last_index', 'Last entry in the log', cluster.lastIndex);
  out.gauge('raft_commit_index', 'Last entry of the log that is known to be committed', cluster.commit);
  out.gauge('raft_applied_index', 'Last entry of the log that is in force here', cluster.applied);
  out.gauge(
    'raft_member_applied_index',
    'Last entry in force on another member, as it last said; the leader alone knows',
    others(cluster, ({ applied }) => applied),
  );
  out.gauge(
    'raft_member_last_contact_seconds',
    'Since another member was last heard of; the leader alone knows',
    others(cluster, ({ lastContactMs }) => lastContactMs && lastContactMs / 1000),
  );
  out.gauge(
    'raft_peer_up',
    '1 where the connection to another server of the list is up, 0 where not',
    cluster.peers.map(({ serverId, isConnected }) => [{ peer: String(serverId) }, Number(isConnected)]),
  );
  out.counter(
    'raft_refusals_total',
    'Connections and messages of peers that were refused, by reason',
    Object.entries(cluster.refusals).map(([reason, count]) => [{ reason }, count]),
  );
  out.gauge(
    'raft_storage_failed',
    '1 where the log cannot be written, so that this member takes no part',
    Number(cluster.isStorageFailed),
  );
  const { certificateNotAfterMs } = cluster;
  out.gauge(
    'raft_certificate_not_after_timestamp_seconds',
    "Unix time at which this member's certificate for its peers expires",
    certificateNotAfterMs === null ? [] : certificateNotAfterMs / 1000,
  );
}

/** Of one server there may be two members for a moment: one that has forgotten its promises, and its successor. */
function others({ members }: Cluster, value: (member: Member) => number | null): Sample[] {
  const samples = new Map<number, Sample>();
  for (const member of members) {
    const known = value(member);
    if (!member.isSelf && known !== null) samples.set(member.serverId, [{ peer: String(member.serverId) }, known]);
  }
  return [...samples.values()];
}
