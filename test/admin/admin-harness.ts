/** The admin API over real HTTP, in front of an edge whose cluster is in the test's hands. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { type AdminLimits, AdminServer } from '../../src/admin/server.ts';
import { parseListenAddress } from '../../src/config/addresses.ts';
import type { AdminConfig } from '../../src/config/config.ts';
import { newEdge, recordingLog } from '../control/new-edge.ts';
import { type Lifetime, simpleConfig, temporaryFolder } from '../e2e/harness.ts';

/** The one node of pool "demo", as the file has it. Nothing listens there. */
export const FILE_NODE = '127.0.0.1:1';
/** Where it says so. */
export const NODES = '/pools/demo/nodes';

/** How a cluster does not take a change, and what the API answers. */
export const REFUSALS = [
  ['no-leader', 503],
  ['lost', 503],
  ['unconfirmed', 504],
] as const;

export interface StartOptions {
  readonly address?: string;
  readonly tokenFile?: string | null;
  /** In place of the one. */
  readonly nodes?: readonly string[];
  /** Further lines of the service, and of the file's top. */
  readonly service?: readonly string[];
  readonly top?: readonly string[];
  /** The edge is one of a group. Default: no. */
  readonly hasGroup?: boolean;
  readonly limits?: Partial<AdminLimits>;
}

export interface Answered {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Record<string, unknown>;
}

export async function startAdmin(t: Lifetime, options: StartOptions = {}) {
  const { address = '127.0.0.1:0', tokenFile = null, service = [], top = [], hasGroup = false } = options;
  const { nodes = [FILE_NODE], limits = {} } = options;
  const yaml = simpleConfig(nodes, { service, top });
  const { edge, cluster, file } = newEdge(t, hasGroup ? yaml + stekShare(t) : yaml);
  await edge.join();
  await edge.start();
  const { log, lines } = recordingLog();
  const config = adminConfig(address, tokenFile);
  const admin = new AdminServer(config, edge, log, { limits });
  const bound = await admin.listen();
  t.after(() => admin.close());
  const port = Number(bound.slice(bound.lastIndexOf(':') + 1));
  const target = bound.startsWith('unix:') ? { socketPath: bound.slice(5) } : { host: '127.0.0.1', port };
  const ask = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    request({ ...target, method, path, headers }, body);
  return { ask, admin, edge, cluster, config, file, port, lines };
}

export function adminConfig(text: string, tokenFile: string | null = null): AdminConfig {
  const address = parseListenAddress(text);
  assert.ok(address.ok);
  return { address: address.value, tokenFile };
}

/** A text is sent as it is, all else as JSON. The answer is JSON, or nothing. */
export function request(options: http.RequestOptions, body: unknown): Promise<Answered> {
  const isJson = body !== undefined;
  const headers = { ...(isJson ? { 'content-type': 'application/json' } : {}), ...(options.headers as object) };
  return new Promise((resolve, reject) => {
    const sent = http.request({ ...options, headers, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => {
        const { statusCode: status = 0, headers: received } = response;
        resolve({ status, headers: received, body: text === '' ? {} : JSON.parse(text) });
      });
    });
    sent.on('error', reject);
    sent.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
}

/** A node that nobody has sent a request to. */
export function node(address: string, changes: object = {}) {
  const health = { state: 'up', isChecked: false, reason: '', changedAtMs: null };
  return { address, weight: 1, drain: false, origin: 'file', inFlight: 0, requests: 0, health, ...changes };
}

/** Its files are there, and hold no certificates: the test's cluster reads none. */
function stekShare(t: Lifetime): string {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'list.yaml'), '- {server_id: 1, address: 10.0.0.1, port: 10001}\n');
  writeFileSync(join(folder, 'any.pem'), '');
  const files = ['root_cert_file', 'server_cert_file', 'server_key_file'].map((key) => `  ${key}: ${folder}/any.pem`);
  return [
    'stek_share:',
    ...['server_id: 1', 'address: 10.0.0.1', 'port: 10001', 'key_update_interval: 3600'].map((line) => `  ${line}`),
    `  server_list_file: ${folder}/list.yaml`,
    ...files,
    '',
  ].join('\n');
}
