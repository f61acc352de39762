/**
 * Checks the pools' nodes against each other. Linear: a pool may hold 100,000 nodes.
 * Works on raw values, so that it can report beside the schema's own errors. Main thread.
 */

import { parseNodeAddress } from './addresses.ts';
import type { DiagnosticList } from './diagnostics.ts';
import { asList, asMap, type YamlSource } from './source.ts';

/** Reports nodes that stand in a pool twice, and pools without any. */
export function checkPools(source: YamlSource, diagnostics: DiagnosticList): void {
  for (const [name, raw] of Object.entries(asMap(asMap(source.value)?.pools) ?? {})) {
    const pool = asMap(raw);
    if (pool === null || !('nodes' in pool)) continue;
    const nodes = asList(pool.nodes);
    if (nodes.length === 0 && (pool.nodes === null || Array.isArray(pool.nodes))) {
      const advice = 'add nodes, here or while running: until then its services answer 503';
      diagnostics.warning(source.locateKey(['pools', name, 'nodes']), `this pool has no nodes; ${advice}`);
    }
    checkDuplicates(source, diagnostics, name, nodes);
  }
}

function checkDuplicates(
  source: YamlSource,
  diagnostics: DiagnosticList,
  pool: string,
  nodes: readonly unknown[],
): void {
  const seen = new Map<string, number>();
  for (const [index, raw] of nodes.entries()) {
    const node = parseNodeAddress(asMap(raw)?.address ?? raw);
    if (!node.ok) continue;
    const first = seen.get(node.value.address);
    if (first === undefined) {
      seen.set(node.value.address, index);
      continue;
    }
    const { line } = source.locate(['pools', pool, 'nodes', first]);
    const advice = `it stands on line ${line} already; keep one, with a weight if it should get more`;
    diagnostics.error(
      source.locate(['pools', pool, 'nodes', index]),
      `${node.value.address} is in this pool twice: ${advice}`,
    );
  }
}
