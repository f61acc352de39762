/** Debian's nginx and HAProxy as reverse proxies with kept connections to one backend, to play the same cases through. */

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { freePort } from './cluster-network.ts';
import { temporaryFolder } from './harness.ts';
import { startPeer } from './tls-peers.ts';

export const PROXIES = ['nginx', 'haproxy'] as const;
export type ProxyName = (typeof PROXIES)[number];

/** Lines of their configurations, besides those that every reverse proxy has. */
export interface ProxySettings {
  readonly nginxHttp?: readonly string[];
  /** Behind the server's address. */
  readonly nginxServer?: string;
  readonly nginxLocation?: readonly string[];
  readonly haproxyDefaults: readonly string[];
}

/** As the program prints it: "1.22.1". Empty where it is not installed. */
export function versionOf(proxy: ProxyName): string {
  const { stdout, stderr } = spawnSync(proxy, ['-v'], { encoding: 'utf8' });
  return /\d+\.\d+(\.\d+)?/.exec(`${stdout ?? ''}${stderr ?? ''}`)?.[0] ?? '';
}

/** In front of `backend`; resolves to its port. */
export async function startProxy(
  t: TestContext,
  proxy: ProxyName,
  backend: string,
  settings: ProxySettings,
): Promise<number> {
  const [folder, port] = [temporaryFolder(t), await freePort()];
  const file = join(folder, `${proxy}.conf`);
  const isNginx = proxy === 'nginx';
  writeFileSync(file, isNginx ? nginxConfig(folder, port, backend, settings) : haproxyConfig(port, backend, settings));
  return startPeer(t, proxy, isNginx ? ['-e', 'stderr', '-c', file, '-p', folder] : ['-f', file], port);
}

function nginxConfig(
  folder: string,
  port: number,
  backend: string,
  { nginxHttp = [], nginxServer = '', nginxLocation = [] }: ProxySettings,
): string {
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((n) => `${n}_temp_path ${folder}/${n};`);
  return `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off;
  ${[...paths, ...nginxHttp].join('\n  ')}
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream backend { server ${backend}${nginxServer}; keepalive 512; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      ${nginxLocation.join('\n      ')}
    }
  }
}
`;
}

function haproxyConfig(port: number, backend: string, { haproxyDefaults }: ProxySettings): string {
  return `global
  maxconn 4096
  nbthread 1
defaults
  mode http
  ${haproxyDefaults.join('\n  ')}
frontend f
  bind 127.0.0.1:${port}
  default_backend b
backend b
  server s ${backend}
`;
}
