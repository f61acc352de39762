/**
 * What clients of the admin API say of nodes, read by the configuration's own rules. Pure, main thread.
 */

import { type NodeAddress, parseNodeAddress } from '../config/addresses.ts';
import { WEIGHT_RANGE } from '../config/config.ts';
import { type Parsed, parsed, parseFlag, parseInteger, refused } from '../config/units.ts';
import type { EditScope, NodeChange } from '../control/pool-editor.ts';

const FORM = '{"address": "10.0.0.1:80", "weight": 1, "drain": false, "local": false}, all but address as you like';
const CHANGE_FORM = '{"weight": 1, "drain": true, "local": false}, at least one of weight and drain';
const CHANGE_KEYS = ['weight', 'drain', 'local'];
const OFFSET_MAX = 1_000_000_000;

export interface ChangeRequest {
  readonly change: NodeChange;
  readonly scope: EditScope;
}

export interface NodeRequest extends ChangeRequest {
  readonly node: NodeAddress;
}

/** The body of POST /pools/NAME/nodes. */
export function parseNodeRequest(body: unknown): Parsed<NodeRequest> {
  const fields = parseFields(body, ['address', ...CHANGE_KEYS], FORM);
  if (!fields.ok) return fields;
  const { address } = fields.value;
  if (address === undefined) return refused(`address is missing; send ${FORM}`);
  const node = parseNodeAddress(address);
  if (!node.ok) return refused(`address: ${node.message}`);
  const request = parseChange(fields.value);
  return request.ok ? parsed({ node: node.value, ...request.value }) : request;
}

/** The body of PATCH /pools/NAME/nodes/ADDRESS. */
export function parseChangeRequest(body: unknown): Parsed<ChangeRequest> {
  const fields = parseFields(body, CHANGE_KEYS, CHANGE_FORM);
  if (!fields.ok) return fields;
  const { weight, drain } = fields.value;
  if ((weight ?? drain) === undefined) return refused(`there is nothing to change; send ${CHANGE_FORM}`);
  return parseChange(fields.value);
}

/** `?local=1` */
export function parseScope(local: unknown): Parsed<EditScope> {
  const flag = local === undefined ? parsed(false) : parseFlag(local);
  return flag.ok ? parsed(flag.value ? 'local' : 'group') : refused(`local: ${flag.message}`);
}

/** `?offset=1000` */
export function parseOffset(offset: unknown): Parsed<number> {
  if (offset === undefined) return parsed(0);
  const value = parseInteger(offset, { min: 0, max: OFFSET_MAX });
  return value.ok ? value : refused(`offset: ${value.message}`);
}

function parseFields(body: unknown, keys: readonly string[], form: string): Parsed<Record<string, unknown>> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return refused(`send JSON: ${form}`);
  const stranger = Object.keys(body).find((key) => !keys.includes(key));
  if (stranger !== undefined) return refused(`unknown key ${JSON.stringify(stranger)}; send ${form}`);
  return parsed(body as Record<string, unknown>);
}

function parseChange({ weight, drain, local }: Record<string, unknown>): Parsed<ChangeRequest> {
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
  const scope = parseScope(local);
  return scope.ok ? parsed({ change, scope: scope.value }) : scope;
}
