/**
 * What clients of the admin API say of nodes, read by the configuration's own rules. Pure, main thread.
 */

import { type NodeAddress, parseNodeAddress } from '../config/addresses.ts';
import { WEIGHT_RANGE } from '../config/config.ts';
import { type Parsed, parsed, parseFlag, parseInteger, refused } from '../config/units.ts';
import type { NodeChange } from '../control/pool-editor.ts';

const FORM = '{"address": "10.0.0.1:80", "weight": 1, "drain": false}, weight and drain as you like';
const KEYS = ['address', 'weight', 'drain'];

export interface NodeRequest {
  readonly node: NodeAddress;
  readonly change: NodeChange;
}

/** The body of POST /pools/NAME/nodes. */
export function parseNodeRequest(body: unknown): Parsed<NodeRequest> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return refused(`send JSON: ${FORM}`);
  const stranger = Object.keys(body).find((key) => !KEYS.includes(key));
  if (stranger !== undefined) return refused(`unknown key ${JSON.stringify(stranger)}; send ${FORM}`);
  const { address, weight, drain } = body as Record<string, unknown>;
  if (address === undefined) return refused(`address is missing; send ${FORM}`);
  const node = parseNodeAddress(address);
  if (!node.ok) return refused(`address: ${node.message}`);
  const change: { weight?: number; drain?: boolean } = {};
  if (weight !== undefined) {
    const value = parseInteger(weight, WEIGHT_RANGE);
    if (!value.ok) return refused(`weight: ${value.message}`);
    change.weight = value.value;
  }
  if (drain !== undefined) {
    const value = parseFlag(drain);
    if (!value.ok) return refused(`drain: ${value.message}`);
    change.drain = value.value;
  }
  return parsed({ node: node.value, change });
}
