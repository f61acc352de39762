/** nginx, one worker. Bodies are streamed, not spooled to a file as by default: the other programs do so too. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installedVersion } from './installed.ts';
import type { Setting, Subject } from './subject.ts';

export const nginx: Subject = {
  name: 'nginx',
  affinity: 'hash',
  note: 'proxy_request_buffering off; hash $http_cookie consistent',
  version: () => installedVersion('nginx'),
  prepare: (setting) => {
    const file = join(setting.folder, 'nginx.conf');
    writeFileSync(file, configuration(setting));
    return { program: 'nginx', args: ['-e', 'stderr', '-c', file, '-p', setting.folder] };
  },
};

function configuration({ folder, port, isTls, certificateFile, keyFile, nodes }: Setting): string {
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((n) => `${n}_temp_path ${folder}/${n};`);
  return `daemon off;
# one process that the benchmark can stop and end, as its own user
master_process off;
pid ${folder}/nginx.pid;
error_log stderr crit;
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
http {
  access_log off;
  ${paths.join('\n  ')}
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  client_max_body_size 0;
  ssl_certificate ${certificateFile};
  ssl_certificate_key ${keyFile};
  ssl_protocols TLSv1.2 TLSv1.3;
  upstream backends {
    hash $http_cookie consistent;
    ${nodes.map((node) => `server 127.0.0.1:${node.port};`).join(' ')}
    keepalive 1024;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port}${isTls ? ' ssl' : ''} backlog=4096;
    location / {
      proxy_pass http://backends;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }
}
`;
}
