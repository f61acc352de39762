/**
 * The schema of the configuration file: every key, its notation, bounds and default, and what the documents say of it.
 * What one key says of another is checked by check-references.ts and its neighbours. Main thread.
 */

import { z } from 'zod';
import { parseListenAddress, parseNodeAddress } from './addresses.ts';
import { WEIGHT_RANGE } from './config.ts';
import { healthCheckSchema } from './schema-health.ts';
import { serviceSchema } from './schema-service.ts';
import { canarySchema, parseSessionIdContext, ticketKeysSchema, tlsSchema } from './schema-tls.ts';
import {
  choice,
  duration,
  flag,
  integer,
  type KeyInfo,
  keyInfo,
  notation,
  optionalPath,
  scalar,
  section,
  shorthand,
  size,
  text,
} from './schema-units.ts';
import { parsed, parseInteger, parseText, refused, show } from './units.ts';

/** Pools and services are named on the command line and in metrics: keep to what needs no quotes. */
export const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
const WORKERS_RANGE = { min: 1, max: 256 };
const KIB = 1024;
const MINUTE = 60_000;

const PIPELINING_RANGE = { min: 1, max: 256 };
const CONNECTIONS_RANGE = { min: 1, max: 10_000_000 };
const NONE_OR_CONNECTIONS = { min: 0, max: CONNECTIONS_RANGE.max };

const nameSchema = z.string().regex(NAME_PATTERN);
const addressSchema = (description: string) =>
  notation('address', parseListenAddress, { description }, '`host:port`, `[v6]:port`, `unix:/path`, `fd:NAME`');

const listenerSchema = section(
  z.strictObject({
    address: addressSchema('Where to listen. Port 0: the kernel chooses.'),
    service: notation<string | null>('name', parseServiceName, {
      description: 'The service for requests; with `hosts`, for those that match none.',
      default: null,
    }),
    hosts: section(z.record(z.string(), text({ min: 1, max: 64 }, { description: 'A service.' })).default({}), {
      description: 'Services by the Host header: `a.example: NAME` or `"*.b.example": NAME`.',
      type: 'map of names',
      default: 'none',
      json: {},
    }),
    tls: section(tlsSchema.optional(), infoOf(tlsSchema)),
  }),
  { description: 'One address to listen on.', type: 'map', json: {} },
);

/** A node as a map; the plain form is its address alone. */
const nodeMapSchema = section(
  z.strictObject({
    address: notation(
      'address',
      parseNodeAddress,
      {
        description: 'Where the node is. The port is 80 when left out.',
      },
      '`ip`, `ip:port`, `name:port`, `[v6]:port`',
    ),
    weight: integer(WEIGHT_RANGE, { description: 'Its share of clients without affinity.', default: '1' }),
    drain: flag({ description: 'Keep its sticky clients, give it no new ones.', default: 'no' }),
  }),
  { description: 'A backend server: its address, or a map.', type: 'address or map', json: {} },
);

const nodeSchema = shorthand(nodeMapSchema, 'address', {
  description: 'A backend server: its address, or a map.',
  type: 'address or map',
  json: { anyOf: [{ type: 'string' }] },
});

const poolSchema = section(
  z.strictObject({
    nodes: section(z.array(nodeSchema).nullable(), {
      description: 'The backend servers; may be empty, nodes can be added later.',
      type: 'list of addresses or maps',
      json: {},
    }),
    health_check: section(healthCheckSchema.optional(), infoOf(healthCheckSchema)),
    pipelining: integer(
      PIPELINING_RANGE,
      {
        description:
          'GET and OPTIONS requests that may await their answers on one backend connection of a listener thread. 1: each request has a connection of its own. For backends that frame every answer right: read docs/pipelining.md first.',
        default: '1',
      },
      'requests',
    ),
  }),
  { description: 'A group of backend servers.', type: 'map', json: {} },
);

const limitsSchema = section(
  z.strictObject({
    max_head_size: size(
      { min: KIB, max: 60 * KIB },
      { description: 'Largest request or response head.', default: '32KiB' },
    ),
    max_headers: integer(
      { min: 8, max: 1024 },
      { description: 'Most header lines in a head.', default: '128' },
      'headers',
    ),
    max_target_size: size(
      { min: 64, max: 60 * KIB },
      { description: 'Longest request target; at most `max_head_size`, to which the default yields.', default: '8KiB' },
    ),
    header_timeout: duration(
      { min: 10, max: 10 * MINUTE },
      { description: 'Time a client has to send a whole request head.', default: '10s' },
    ),
    max_connections: scalar<number | 'auto'>(
      (raw) => {
        if (raw === 'auto') return parsed(raw);
        const count = parseInteger(raw, CONNECTIONS_RANGE);
        return count.ok
          ? count
          : refused(`${show(raw)} is not a number of connections; write auto, or 1 to ${CONNECTIONS_RANGE.max}`);
      },
      {
        description:
          'Client connections open at once, in all. Beyond it, idle ones are closed to make room; where none is idle, a new one is answered with 503, or closed on a TLS listener. `auto`: half of what the limit on open files leaves, at most 100,000; docs/limits.md says more.',
        type: '`auto` or connections',
        default: '`auto`',
        bounds: `${CONNECTIONS_RANGE.min} to ${CONNECTIONS_RANGE.max}`,
        json: {
          default: 'auto',
          anyOf: [
            { const: 'auto' },
            { type: 'integer', minimum: CONNECTIONS_RANGE.min, maximum: CONNECTIONS_RANGE.max },
          ],
        },
      },
      'auto',
    ),
    max_connections_per_thread: integer(
      NONE_OR_CONNECTIONS,
      { description: 'The same on one listener thread; 0: no limit but the one above.', default: '0' },
      'connections',
    ),
    max_connections_per_address: integer(
      NONE_OR_CONNECTIONS,
      {
        description:
          'The same from one client address, of IPv6 from one /64; further ones are answered with 429, or closed on a TLS listener. 0: no limit, as many clients may share the address of a NAT or a proxy.',
        default: '0',
      },
      'connections',
    ),
    max_handshakes: integer(
      { min: 1, max: 1_000_000 },
      {
        description: 'TLS handshakes under way on one listener thread; one more ends the oldest of them.',
        default: '1000',
      },
      'handshakes',
    ),
    max_requests_per_connection: integer(
      { min: 0, max: 1_000_000_000 },
      {
        description: 'Requests on one client connection, which then closes with its response; 0: no limit.',
        default: '0',
      },
      'requests',
    ),
  }),
  { description: 'Bounds on what clients may send and hold.', type: 'map', default: 'as below', json: {} },
);

const adminSchema = section(
  z.strictObject({
    address: addressSchema('Where the admin API listens: loopback or unix only, unless a `token_file` is given.'),
    token_file: optionalPath({ description: 'A file that holds the token every request must carry.', default: null }),
  }),
  { description: 'The admin API, metrics and dashboard.', type: 'map', default: 'off', json: {} },
);

/** Read by stek-share.ts, which knows that it may be the path of another file. Exported for the documents. */
export const stekShareEntry = section(z.unknown().optional(), {
  description:
    "The group of edges that shares ticket keys and this one belongs to: Traffic Server's options, or the path of such a file. Without it, a group of one.",
  type: 'map or path',
  default: 'none',
  json: {},
});

export const configSchema = z.strictObject({
  workers: scalar<number | 'auto'>(
    (raw) => {
      if (raw === 'auto') return parsed(raw);
      const count = parseInteger(raw, WORKERS_RANGE);
      return count.ok
        ? count
        : refused(`${show(raw)} is not a number of threads; write auto, or 1 to ${WORKERS_RANGE.max}`);
    },
    {
      description: "Listener threads; `auto` is the machine's available parallelism.",
      type: '`auto` or threads',
      default: '`auto`',
      bounds: '1 to 256',
      json: {
        default: 'auto',
        anyOf: [{ const: 'auto' }, { type: 'integer', minimum: WORKERS_RANGE.min, maximum: WORKERS_RANGE.max }],
      },
    },
    'auto',
  ),
  drain_timeout: duration(
    { min: 0, max: 60 * MINUTE },
    { description: 'On SIGTERM, time for what is in flight; then it is cut.', default: '30s' },
  ),
  worker_hang_timeout: duration(
    { min: 1_000, max: 5 * MINUTE },
    { description: 'A listener thread whose event loop stands still this long is replaced.', default: '5s' },
  ),
  state_dir: optionalPath({
    description: "Where Raft's log is kept; best on a tmpfs.",
    default: null,
    defaultText: '`$RUNTIME_DIRECTORY`, else in memory only',
  }),
  session_id_context: notation(
    'text',
    parseSessionIdContext,
    {
      description: "OpenSSL's session id context; equal across a fleet, or TLS sessions do not resume.",
      default: 'stekbal',
    },
    '1 to 32 bytes',
  ),
  log_level: choice(['trace', 'debug', 'info', 'warn', 'error'], {
    description: 'The least severe messages that are logged.',
    default: 'info',
  }),
  access_log: optionalPath({
    description:
      'Append a JSON line a request to this file; docs/access-log.md has its fields. A reload opens it anew.',
    default: null,
  }),
  limits: section(limitsSchema.prefault({} as z.input<typeof limitsSchema>), infoOf(limitsSchema)),
  listeners: section(z.array(listenerSchema).min(1), {
    description: 'Where clients come in.',
    type: 'list of maps',
    bounds: 'at least 1',
    json: {},
  }),
  pools: section(z.record(nameSchema, poolSchema).default({}), {
    description: 'Groups of backend servers, by name.',
    type: 'map of maps',
    default: 'none',
    bounds: 'names: letters, digits, `_`, `.`, `-`',
    json: {},
  }),
  services: section(z.record(nameSchema, serviceSchema).default({}), {
    description: 'How requests are passed on, by name.',
    type: 'map of maps',
    default: 'none',
    bounds: 'names: letters, digits, `_`, `.`, `-`',
    json: {},
  }),
  stek_share: stekShareEntry,
  ticket_keys: section(ticketKeysSchema.optional(), infoOf(ticketKeysSchema)),
  canary: section(canarySchema.optional(), infoOf(canarySchema)),
  admin: section(adminSchema.optional(), infoOf(adminSchema)),
});

export type RawConfig = z.output<typeof configSchema>;

/** Wrapping a schema makes another one: its entry has to be carried over. */
function infoOf(schema: z.ZodType): KeyInfo {
  return keyInfo.get(schema) as KeyInfo;
}

function parseServiceName(raw: unknown) {
  return parseText(raw, { min: 1, max: 64 });
}
