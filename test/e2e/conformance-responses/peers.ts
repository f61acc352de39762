/** Debian's nginx and HAProxy as reverse proxies with kept backend connections, to play the same cases through. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { freePort } from '../cluster-network.ts';
import { temporaryFolder } from '../harness.ts';
import { startPeer } from '../tls-peers.ts';

export const PEERS = ['nginx', 'haproxy'] as const;
export type Peer = (typeof PEERS)[number];

export function isInstalled(peer: Peer): boolean {
  return spawnSync(peer, ['-v']).error === undefined;
}

/** As the program prints it: "1.22.1". */
export function versionOf(peer: Peer): string {
  const { stdout, stderr } = spawnSync(peer, ['-v'], { encoding: 'utf8' });
  return /[\d.]+\d/.exec(stdout + stderr)?.[0] ?? '';
}

/** In front of `backend`; resolves to its port. */
export async function startProxy(t: TestContext, peer: Peer, backend: string): Promise<number> {
  const [folder, port] = [temporaryFolder(t), await freePort([])];
  const file = join(folder, `${peer}.conf`);
  writeFileSync(file, peer === 'nginx' ? nginxConfig(folder, port, backend) : haproxyConfig(port, backend));
  mkdirSync(join(folder, 'temp'));
  return startPeer(t, peer, peer === 'nginx' ? ['-e', 'stderr', '-c', file] : ['-f', file], port);
}

function nginxConfig(folder: string, port: number, backend: string): string {
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((one) => `${one}_temp_path ${folder}/temp;`);
  return `daemon off;
master_process off;
pid ${folder}/pid;
error_log stderr crit;
events {}
http {
  access_log off;
  postpone_output 0;
  ${paths.join('\n  ')}
  upstream backend { server ${backend} max_fails=0; keepalive 16; }
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_request_buffering off;
      proxy_next_upstream off;
      proxy_read_timeout 300ms;
      proxy_buffering off;
    }
  }
}
`;
}

function haproxyConfig(port: number, backend: string): string {
  return `global
  maxconn 100
  nbthread 1
defaults
  mode http
  http-reuse always
  retries 0
  timeout client 10s
  timeout server 300ms
  timeout connect 1s
frontend f
  bind 127.0.0.1:${port}
  default_backend b
backend b
  server s ${backend}
`;
}
