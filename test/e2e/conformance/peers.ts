/** nginx and HAProxy in front of the same backend, as a user would configure them. Test support. */

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { freePort } from '../cluster-network.ts';
import { temporaryFolder } from '../harness.ts';
import { startPeer } from '../tls-peers.ts';

export interface Peer {
  readonly name: 'nginx' | 'HAProxy';
  readonly command: string;
  /** As it says it; empty where it is not installed. */
  version(): string;
  /** Starts it in front of `backend`; resolves to its port. */
  start(t: TestContext, backend: string): Promise<number>;
}

const VERSION = /\d+\.\d+(\.\d+)?/;

function versionOf(command: string): string {
  const { stdout, stderr } = spawnSync(command, ['-v'], { encoding: 'utf8' });
  return VERSION.exec(`${stdout ?? ''}${stderr ?? ''}`)?.[0] ?? '';
}

const NGINX: Peer = {
  name: 'nginx',
  command: 'nginx',
  version: () => versionOf('nginx'),
  start: async (t, backend) => {
    const folder = temporaryFolder(t);
    const port = await freePort([]);
    const file = join(folder, 'nginx.conf');
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((n) => `${n}_temp_path ${folder}/${n};`);
    const text = `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off;
  ${paths.join(' ')}
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream backend { server ${backend}; keepalive 512; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }
  }
}
`;
    writeFileSync(file, text);
    return startPeer(t, 'nginx', ['-c', file, '-e', 'stderr', '-p', folder], port);
  },
};

const HAPROXY: Peer = {
  name: 'HAProxy',
  command: 'haproxy',
  version: () => versionOf('haproxy'),
  start: async (t, backend) => {
    const folder = temporaryFolder(t);
    const port = await freePort([]);
    const file = join(folder, 'haproxy.cfg');
    const lines = [
      ...['global', '  maxconn 4096', '  nbthread 1', 'defaults', '  mode http', '  option forwardfor'],
      ...['client', 'server', 'connect'].map((side) => `  timeout ${side} 10s`),
      ...['frontend f', `  bind 127.0.0.1:${port}`, '  default_backend b', 'backend b', `  server s ${backend}`, ''],
    ];
    writeFileSync(file, lines.join('\n'));
    return startPeer(t, 'haproxy', ['-f', file], port);
  },
};

export const PEERS: readonly Peer[] = [NGINX, HAPROXY];
