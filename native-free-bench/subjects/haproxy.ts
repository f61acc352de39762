/** HAProxy, one thread, with its own cookie persistence. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installedVersion } from './installed.ts';
import { COOKIE_NAME, type Subject } from './subject.ts';

export const haproxy: Subject = {
  name: 'haproxy',
  affinity: 'cookie',
  note: 'http-reuse always',
  version: () => installedVersion('haproxy'),
  prepare: ({ folder, port, isTls, pemFile, nodes }) => {
    const file = join(folder, 'haproxy.cfg');
    const servers = nodes.map(({ id, port }) => `  server s${port} 127.0.0.1:${port} cookie ${id}`);
    writeFileSync(
      file,
      `global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout client 300s
  timeout server 300s
  timeout connect 5s
  option forwardfor
  http-reuse always
frontend f
  bind 127.0.0.1:${port}${isTls ? ` ssl crt ${pemFile} ssl-min-ver TLSv1.2` : ''}
  default_backend b
backend b
  cookie ${COOKIE_NAME} insert indirect nocache
${servers.join('\n')}
`,
    );
    return { program: 'haproxy', args: ['-f', file] };
  },
};
