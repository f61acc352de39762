/**
 * From the configuration to the cluster's options. Pure, main thread.
 */

import type { ClusterOptions, PeeringOptions, ServerAddress } from '../cluster/types.ts';
import type { Config, StekShareConfig } from '../config/config.ts';
import { SCHEDULED_KEYS_MAX } from '../stek/key-ring.ts';
import type { RotationRules } from '../stek/rotation.ts';

/** Of an edge without stek_share. No network is used: the address is for show. */
const ALONE: ServerAddress = { serverId: 1, address: '127.0.0.1', port: 0 };
/** Traffic Server's defaults. */
const ALONE_OPTIONS = {
  timing: { heartbeatMs: 100, electionMinMs: 200, electionMaxMs: 400, proposalTimeoutMs: 3000 },
  reservedEntries: 5,
  snapshotDistance: 5,
} as const;

/** Of an edge without stek_share: Traffic Server's own example, and Cloudflare's practice. */
const KEY_INTERVAL_MS = 3_600_000;
/** Where no listener speaks TLS here: the default of `ticket_lifetime`. */
const TICKET_LIFETIME_MS = 24 * 3_600_000;
/** Election timeouts after which a silent member does not hold up a rotation any more. */
const SILENT_ELECTIONS = 5;

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

/** Every edge of a fleet should have the same: the leader's count. */
export function rotationRules({ stekShare, listeners }: Pick<Config, 'stekShare' | 'listeners'>): RotationRules {
  const electionMs = stekShare?.electionTimeoutUpperBoundMs ?? ALONE_OPTIONS.timing.electionMaxMs;
  const intervalMs = stekShare?.keyUpdateIntervalMs ?? KEY_INTERVAL_MS;
  const lifetimesMs = listeners.flatMap(({ tls }) => tls?.ticketLifetimeMs ?? []);
  const wantedMs = lifetimesMs.length === 0 ? TICKET_LIFETIME_MS : Math.max(...lifetimesMs);
  return {
    intervalMs,
    // the file's check of this looks at what the file says, of which the interval waits for a restart
    lifetimeMs: Math.min(wantedMs, intervalMs * SCHEDULED_KEYS_MAX),
    silenceMsMax: SILENT_ELECTIONS * electionMs,
  };
}
