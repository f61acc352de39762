/**
 * From the configuration to the cluster's options. Pure, main thread.
 */

import type { ClusterOptions, PeeringOptions, ServerAddress } from '../cluster/types.ts';
import type { Config, StekShareConfig } from '../config/config.ts';

/** Of an edge without stek_share. No network is used: the address is for show. */
const ALONE: ServerAddress = { serverId: 1, address: '127.0.0.1', port: 0 };
/** Traffic Server's defaults. */
const ALONE_OPTIONS = {
  timing: { heartbeatMs: 100, electionMinMs: 200, electionMaxMs: 400, proposalTimeoutMs: 3000 },
  reservedEntries: 5,
  snapshotDistance: 5,
} as const;

/** A group of one, in memory, where the configuration has no stek_share. */
export function clusterOptions(
  { stekShare, stateDir }: Pick<Config, 'stekShare' | 'stateDir'>,
  parts: Pick<ClusterOptions, 'stateMachine' | 'report'>,
): ClusterOptions {
  if (stekShare === null) {
    return { ...parts, ...ALONE_OPTIONS, serverId: ALONE.serverId, servers: [ALONE], stateDir: null, peering: null };
  }
  return {
    ...parts,
    serverId: stekShare.serverId,
    servers: stekShare.servers,
    timing: {
      heartbeatMs: stekShare.heartBeatIntervalMs,
      electionMinMs: stekShare.electionTimeoutLowerBoundMs,
      electionMaxMs: stekShare.electionTimeoutUpperBoundMs,
      proposalTimeoutMs: stekShare.clientReqTimeoutMs,
    },
    reservedEntries: stekShare.reservedLogItems,
    snapshotDistance: stekShare.snapshotDistance,
    stateDir,
    peering: peeringOptions(stekShare),
  };
}

export function peeringOptions(stekShare: StekShareConfig): PeeringOptions {
  const { address, port, rootCertFile, serverCertFile, serverKeyFile, certVerifyStr } = stekShare;
  return { address, port, rootCertFile, serverCertFile, serverKeyFile, certVerifyStr };
}
