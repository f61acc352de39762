/** Perlbal; with SessionAffinity where that plugin is installed, and any node for any client where it is not. */

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installedVersion } from './installed.ts';
import { COOKIE_NAME, type Subject } from './subject.ts';

const isSticky = spawnSync('perl', ['-MPerlbal', '-MPerlbal::Plugin::SessionAffinity', '-e1']).status === 0;

export const perlbal: Subject = {
  name: 'perlbal',
  affinity: isSticky ? 'cookie' : 'none',
  ...(isSticky ? {} : { note: 'without the plugin SessionAffinity, which is not installed' }),
  version: () => installedVersion('perlbal', '--version'),
  prepare: ({ folder, port, isTls, certificateFile, keyFile, nodes }) => {
    const file = join(folder, 'perlbal.conf');
    const tls = ['enable_ssl = on', `ssl_key_file = ${keyFile}`, `ssl_cert_file = ${certificateFile}`];
    const sticky = ['plugins = SessionAffinity', `affinity_cookie_header = ${COOKIE_NAME}`, 'affinity_use_salt = 0'];
    const settings = [
      'role = reverse_proxy',
      `listen = 127.0.0.1:${port}`,
      'pool = p',
      'persist_client = on',
      'persist_backend = on',
      'backend_persist_cache = 64',
      ...(isTls ? [...tls, 'ssl_cipher_list = DEFAULT'] : []),
      ...(isSticky ? sticky : []),
    ];
    const lines = [
      ...(isSticky ? ['LOAD SessionAffinity'] : []),
      'CREATE POOL p',
      ...nodes.map((node) => `POOL p ADD 127.0.0.1:${node.port}`),
      'CREATE SERVICE s',
      ...settings.map((setting) => `SET ${setting}`),
      'ENABLE s',
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
    return { program: 'perlbal', args: [`--config=${file}`] };
  },
};
