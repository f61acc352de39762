/** GET /metrics of a real edge: what its listener threads have counted. */

import assert from 'node:assert/strict';
import http from 'node:http';
import { clusterTest } from './cluster-harness.ts';
import { eventually, runToEnd } from './harness.ts';
import { ticketFleet, tlsListener, tlsPort } from './ticket-fleet.ts';

clusterTest(
  'handshakes, tickets and keys are counted',
  ticketFleet({ servers: 1, workers: 2, listeners: [tlsListener(), tlsListener('min_version: TLSv1.3')] }),
  async (_, cluster) => {
    await cluster.start(1);
    const [both, only13] = await Promise.all([tlsPort(cluster, 1, 0), tlsPort(cluster, 1, 1)]);
    const metrics = () => scrape(cluster.file(1, 'admin.sock'));
    await eventually(async () => (await metrics()).get('stekbal_stek_keys{stage="staged"}') === 1, 'a staged key');
    assert.equal((await runToEnd(['verify', `127.0.0.1:${both}`])).code, 0);
    // full with each version, and a try with TLS 1.2 at the listener that does not speak it
    assert.equal((await runToEnd(['verify', `127.0.0.1:${only13}`])).code, 1);
    const isCounted = async () => (await metrics()).get('stekbal_tls_handshakes_failed_total') === 1;
    await eventually(isCounted, 'the last handshake to be counted');
    const expected = {
      'stekbal_tls_handshakes_total{result="full",protocol="TLSv1.2"}': 1,
      'stekbal_tls_handshakes_total{result="full",protocol="TLSv1.3"}': 2,
      'stekbal_tls_handshakes_total{result="resumed",protocol="TLSv1.2"}': 1,
      'stekbal_tls_handshakes_total{result="resumed",protocol="TLSv1.3"}': 2,
      'stekbal_ticket_decrypt_total{result="active"}': 3,
      'stekbal_ticket_decrypt_total{result="staged"}': 0,
      'stekbal_ticket_decrypt_total{result="retiring"}': 0,
      'stekbal_ticket_decrypt_total{result="unknown"}': 0,
      'stekbal_ticket_decrypt_total{result="refused"}': 0,
      'stekbal_stek_keys{stage="active"}': 1,
      'stekbal_stek_keys{stage="retiring"}': 0,
      stekbal_stek_issuing: 1,
      stekbal_raft_is_leader: 1,
    };
    const told = await metrics();
    assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, told.get(name)])), expected);
    assert.ok(
      (told.get('stekbal_tickets_issued_total') ?? 0) >= 5,
      'one of TLS 1.2, two of each full TLS 1.3 handshake',
    );
    assert.ok((told.get('stekbal_stek_active_age_seconds') ?? -1) >= 0);
    assert.ok((told.get('stekbal_raft_term') ?? 0) >= 1);
  },
);

/** By name and labels. */
function scrape(socketPath: string): Promise<Map<string, number>> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath, path: '/metrics', agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
        resolve(new Map(lines.map((line) => line.split(' ') as [string, string]).map(([k, v]) => [k, Number(v)])));
      });
    });
    request.on('error', reject);
  });
}
