/**
 * Traffic Server, one thread, without its cache. header_rewrite chooses the node: cookie_remap is not in every package.
 * Started by root it becomes "nobody", and refuses to be root: its folder is given to that user then.
 */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { installedVersion } from './installed.ts';
import { COOKIE_NAME, type Node, type Setting, type Subject } from './subject.ts';

const LESSER_USER = 'nobody';
const FOLDERS = ['etc', 'var', 'log', 'cache', 'run'] as const;

export const trafficserver: Subject = {
  name: 'trafficserver',
  affinity: 'cookie',
  note: 'without cache; header_rewrite with a condition a node',
  version: () => installedVersion('traffic_server', '-V'),
  prepare: (setting) => {
    const { folder, nodes, certificateFile, keyFile } = setting;
    const at = Object.fromEntries(FOLDERS.map((name) => [name, join(folder, name)])) as Record<
      (typeof FOLDERS)[number],
      string
    >;
    for (const path of Object.values(at)) mkdirSync(path);
    for (const file of [certificateFile, keyFile]) cpSync(file, join(at.etc, basename(file)));
    const files: Record<string, string> = {
      'records.config': records(setting, at.etc),
      'ssl_multicert.config': `dest_ip=* ssl_cert_name=${basename(certificateFile)} ssl_key_name=${basename(keyFile)}\n`,
      'remap.config': `map / http://127.0.0.1:${nodes[0]?.port} @plugin=header_rewrite.so @pparam=${at.etc}/sticky.config\n`,
      'sticky.config': nodes.map(rule).join('\n'),
      'storage.config': '',
      'ip_allow.yaml': 'ip_allow: [{apply: in, ip_addrs: 0/0, action: allow, methods: ALL}]\n',
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(at.etc, name), text);
    const root = join(folder, 'runroot.yaml');
    const installed = { bindir: '/usr/bin', sbindir: '/usr/sbin', includedir: '/usr/include', libdir: '/usr/lib' };
    const own = {
      ...{ prefix: folder, exec_prefix: '/usr', ...installed, libexecdir: '/usr/lib/trafficserver/modules' },
      ...{ sysconfdir: at.etc, datadir: at.cache, localstatedir: at.var, runtimedir: at.run, logdir: at.log },
      cachedir: at.cache,
    };
    const entries = Object.entries(own).map(([key, path]) => `${key}: ${path}\n`);
    writeFileSync(root, entries.join(''));
    if (process.getuid?.() === 0) spawnSync('chown', ['-R', LESSER_USER, folder]);
    return { program: 'traffic_server', args: [`--run-root=${root}`] };
  },
};

function rule({ id, port }: Node): string {
  return `cond %{REMAP_PSEUDO_HOOK} [AND]\ncond %{COOKIE:${COOKIE_NAME}} =${id}\nset-destination PORT ${port}\n`;
}

function records({ port, isTls }: Setting, etc: string): string {
  return [
    `http.server_ports STRING ${port}:ip-in=127.0.0.1${isTls ? ':ssl:proto=http' : ''}`,
    'http.cache.http INT 0',
    'exec_thread.autoconfig INT 0',
    'exec_thread.limit INT 1',
    'accept_threads INT 0',
    'task_threads INT 1',
    ...(process.getuid?.() === 0 ? [`admin.user_id STRING ${LESSER_USER}`] : []),
    'log.logging_enabled INT 0',
    'crash_log_helper STRING NULL',
    'url_remap.pristine_host_hdr INT 1',
    'http.insert_squid_x_forwarded_for INT 1',
    `ssl.server.cert.path STRING ${etc}`,
    `ssl.server.private_key.path STRING ${etc}`,
    '',
  ]
    .map((line) => (line === '' ? '' : `CONFIG proxy.config.${line}`))
    .join('\n');
}
