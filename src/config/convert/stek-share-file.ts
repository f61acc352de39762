/**
 * Traffic Server's stek_share file as stekbal's. The options keep their names; what that file does not say (listeners,
 * pools, services) gets placeholders. Main thread of a command.
 */

import { isAbsolute, resolve } from 'node:path';
import { DiagnosticList } from '../diagnostics.ts';
import { reportIssues } from '../issues.ts';
import { stekShareSchema } from '../schema-stek-share.ts';
import { shapeOf } from '../schema-walk.ts';
import { asMap, parseYamlSource, unreadableReason, type YamlMap, type YamlSource } from '../source.ts';
import type { ConvertInput } from './input.ts';
import type { Entry, Section } from './yaml-text.ts';

const OPTIONS = Object.keys(shapeOf(stekShareSchema) ?? {});
const PATHS = ['server_list_file', 'root_cert_file', 'server_cert_file', 'server_key_file'];
/** Read, and of no effect: there is no thread pool. */
const THREADS = 'asio_thread_pool_size';

const PLACEHOLDERS =
  'the file says nothing of listeners, pools and services: placeholders are written, which open a loopback port alone; ' +
  'put yours in their place';

/** Null, with an error reported, where it is no such file. */
export function convertStekShare(input: ConvertInput, diagnostics: DiagnosticList): Section[] | null {
  const source = parseYamlSource(input.name, input.text, diagnostics);
  const keys = source === null ? null : optionsOf(source, diagnostics);
  // a part that could not be parsed may hold any of them
  if (source === null || keys === null || source.damaged) return null;
  reportFaults(source, keys, diagnostics);
  const entries = OPTIONS.filter((key) => key in keys).flatMap((key) => entryOf(key, source, keys, input, diagnostics));
  diagnostics.warning({ file: input.name, line: 1, column: 1 }, PLACEHOLDERS);
  return [
    { above: introduction(input.name) },
    { key: 'listeners', value: [{ item: LISTENER }], above: ABOVE_LISTENERS },
    { key: 'pools', value: [{ key: 'backends', value: [{ key: 'nodes', value: [] }] }], above: ABOVE_POOLS },
    { key: 'services', value: [{ key: 'edge', value: [{ key: 'pool', value: 'backends' }] }] },
    { key: 'stek_share', value: entries, above: [`${input.name}: the options, in Traffic Server's words`] },
  ];
}

function introduction(name: string): string[] {
  return [
    `Made by stekbal convert from a stek_share configuration of Traffic Server, ${name}`,
    'Check it: stekbal check -c THIS_FILE',
    'state_dir, where the log of the group is kept over a restart, is RuntimeDirectory under systemd.',
  ];
}

const LISTENER: Entry[] = [
  { key: 'address', value: '127.0.0.1:8080' },
  { key: 'service', value: 'edge' },
];
const ABOVE_LISTENERS = [
  'PLACEHOLDERS from here to stek_share: put your own in their place. What they stand for:',
  '',
  '  listeners:',
  '    - address: 0.0.0.0:443',
  '      service: edge',
  '      tls:',
  '        certificates: [{cert_file: /etc/stekbal/www.crt, key_file: /etc/stekbal/www.key}]',
];
const ABOVE_POOLS = ['The origin servers: nodes: ["10.20.20.100:80", "10.20.20.101:80"]'];

/** Null, with an error reported, where the document is something else. */
function optionsOf(source: YamlSource, diagnostics: DiagnosticList): YamlMap | null {
  const keys = asMap(source.value);
  if (keys !== null && OPTIONS.some((key) => key in keys)) return keys;
  if (source.damaged) return null;
  diagnostics.error(source.locate([]), describeOther(source.value, keys));
  return null;
}

function describeOther(value: unknown, keys: YamlMap | null): string {
  if (keys !== null && ('listeners' in keys || 'services' in keys)) {
    return 'this is a stekbal configuration already; check it with stekbal check -c';
  }
  const wanted = "Traffic Server's stek_share file has server_id, address, port, server_list_file...";
  if (Array.isArray(value)) return `this is a list, maybe the server list, which stays as it is; ${wanted}`;
  return `this is not the stek_share file: none of its options is here; ${wanted}`;
}

/** What check would say of the options, as warnings: the file is written nevertheless, to be mended there. */
function reportFaults(source: YamlSource, keys: YamlMap, diagnostics: DiagnosticList): void {
  const result = stekShareSchema.safeParse(keys);
  if (result.success) return;
  const faults = new DiagnosticList();
  reportIssues(result.error.issues, { source, base: [], schema: stekShareSchema }, faults);
  for (const fault of faults.sorted()) diagnostics.warning(fault, fault.message);
}

function entryOf(
  key: string,
  source: YamlSource,
  keys: YamlMap,
  { folder }: ConvertInput,
  diagnostics: DiagnosticList,
): Entry[] {
  const value = keys[key];
  const at = source.locateKey([key]);
  if (key === THREADS) {
    diagnostics.warning(at, `${key} has no counterpart: peers need no threads of their own; workers is for clients`);
    return [];
  }
  // a map or a list was reported already: it is not what the schema wants
  if (typeof value !== 'string' && typeof value !== 'number') return [];
  if (!PATHS.includes(key) || typeof value !== 'string' || value === '') return [{ key, value }];
  const path = resolve(folder, value);
  const reason = unreadableReason(path);
  if (reason !== null) diagnostics.warning(at, `${key}: ${path} cannot be read: ${reason}; check asks for it`);
  return [{ key, value: path, ...(isAbsolute(value) ? {} : { beside: `was ${value}` }) }];
}
