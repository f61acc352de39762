/**
 * The nodes of Perlbal's pools: POOL ADD and REMOVE, and node files. Main thread of a command.
 *
 * Source: Perlbal 1.80, lib/Perlbal.pm (MANAGE_pool) and lib/Perlbal/Pool.pm (_parse_nodefile).
 */

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseNodeAddress } from '../addresses.ts';
import { WEIGHT_RANGE } from '../config.ts';
import type { DiagnosticList, SourcePosition } from '../diagnostics.ts';
import { show } from '../units.ts';
import type { NamedFiles } from './named-files.ts';
import type { Statement } from './perlbal-lines.ts';
import type { PerlbalPool, Said } from './perlbal-model.ts';

const PORT_DEFAULT = '80';
const NODE_FILE_ENTRY = /(\d+\.\d+\.\d+\.\d+)(?::(\d+))?/;

/** Adds a node at the end, or takes one away. */
export function editPool(
  { nodes }: PerlbalPool,
  verb: 'add' | 'remove',
  text: string,
  { at }: Statement,
  diagnostics: DiagnosticList,
): void {
  const address = addressOf(text, at, diagnostics);
  if (address === null) return;
  const isThere = nodes.delete(address);
  if (verb === 'add') nodes.set(address, { address, at, weight: 1 });
  else if (!isThere) diagnostics.warning(at, `${address} is not in this pool; there is nothing to remove`);
}

/** What the file lists takes the place of the pool's nodes. Perlbal looks at it again and again; this is once. */
export function readNodeFile(
  pool: PerlbalPool,
  said: Said,
  { folder, files }: { readonly folder: string; readonly files: NamedFiles },
  diagnostics: DiagnosticList,
): void {
  if (/^(?:none|undef|null|""|'')$/i.test(said.value)) return;
  // Perlbal starts from where it was started, which is rarely where its configuration lies
  const path = [folder, process.cwd()].map((base) => resolve(base, said.value)).find((file) => existsSync(file));
  const text = path === undefined ? null : files.read(path);
  if (path === undefined || text?.ok !== true) {
    const why = text?.ok === false ? text.message : 'is not there';
    diagnostics.warning(said.at, `the node file ${show(said.value)} ${why}; write its nodes into the pool by hand`);
    return;
  }
  pool.nodes.clear();
  for (const [index, line] of text.value.split('\n').entries()) {
    const entry = NODE_FILE_ENTRY.exec(line.replace(/#.*/, ''))?.[0];
    const at = { file: path, line: index + 1, column: 1 };
    const address = entry === undefined ? null : addressOf(entry, at, diagnostics);
    if (address !== null) addShare(pool, address, at);
  }
  diagnostics.warning(
    said.at,
    `the node file ${show(said.value)} is read once, now, and not watched; change the pool by stekbal pool, or by a reload`,
  );
}

function addShare({ nodes }: PerlbalPool, address: string, at: SourcePosition): void {
  const before = nodes.get(address);
  if (before === undefined) nodes.set(address, { address, at, weight: 1 });
  else nodes.set(address, { ...before, weight: Math.min(before.weight + 1, WEIGHT_RANGE.max) });
}

/** `ip:port` as stekbal writes it; null, with a warning, where no node can be there. */
function addressOf(text: string, at: SourcePosition, diagnostics: DiagnosticList): string | null {
  const [, ip, port] = /^(.+?)(?::(\d*))?$/.exec(text) ?? [];
  // Perl: an empty port and 0 are false
  const written = `${ip}:${Number(port ?? 0) === 0 ? PORT_DEFAULT : port}`;
  const node = parseNodeAddress(written);
  if (!node.ok) {
    diagnostics.warning(at, `the node ${show(text)} is left out: ${node.message}`);
    return null;
  }
  const { address } = node.value;
  if (address !== written) {
    diagnostics.warning(
      at,
      `${show(written)} becomes ${address}: its id is another, so its clients are placed anew once`,
    );
  }
  return address;
}
