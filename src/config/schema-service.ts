/**
 * The schema of one service: how requests are passed to a pool. Key names follow Perlbal where it has them.
 * Main thread.
 */

import { z } from 'zod';
import { parseHost } from './addresses.ts';
import type { SameSite } from './config.ts';
import {
  choice,
  duration,
  FLAG_JSON,
  flag,
  integer,
  notation,
  optionalDuration,
  scalar,
  section,
  size,
  text,
} from './schema-units.ts';
import {
  orList,
  PATH_PATTERN,
  type Parsed,
  parsed,
  parseFlag,
  parseText,
  refused,
  show,
  TOKEN_PATTERN,
  wordOf,
} from './units.ts';

export const BALANCES = ['least_conn', 'round_robin', 'random'] as const;
const SAME_SITES = ['Strict', 'Lax', 'None'] as const;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** setTimeout's longest, 2^31 - 1 ms, is 24.8 d. */
const TUNNEL_MAX = 24 * DAY;

const proxyKeys = {
  role: choice(['reverse_proxy'], { description: 'What the service does.', default: 'reverse_proxy' }),
  pool: text({ min: 1, max: 64 }, { description: 'The pool whose nodes answer.' }),
  balance: choice(BALANCES, {
    description: 'How a client without affinity gets a node. `least_conn`: fewest requests in flight, by weight.',
    default: 'least_conn',
  }),
  persist_client: flag({ description: 'Keep client connections open between requests.', default: 'yes' }),
  persist_client_idle_timeout: duration(
    { min: 10, max: DAY },
    { description: 'An idle client connection is closed after this long.', default: '60s' },
  ),
  persist_backend: flag({ description: 'Reuse backend connections.', default: 'yes' }),
  backend_persist_cache: integer(
    { min: 0, max: 4096 },
    {
      description:
        'Idle backend connections kept per node and thread; further ones are closed when their request is done.',
      default: '512',
    },
    'connections',
  ),
  backend_idle_timeout: duration(
    { min: 10, max: DAY },
    {
      description: "An idle backend connection is closed after this long; less than the backend's own limit.",
      default: '4s',
    },
  ),
  verify_backend: flag({
    description: 'Send OPTIONS on a fresh backend connection and wait for the answer before the first request uses it.',
    default: 'no',
  }),
  verify_backend_path: notation(
    'text',
    parseVerifyPath,
    {
      description: 'What `verify_backend` asks for: `*`, or a path.',
      default: '*',
    },
    '`*`, or begins with `/`',
  ),
  connect_timeout: duration(
    { min: 10, max: HOUR / 12 },
    { description: 'Time to connect to a node before another is tried.', default: '3s' },
  ),
  response_timeout: duration(
    { min: 10, max: DAY },
    { description: 'Time a backend has, once it holds the request, to begin its answer.', default: '60s' },
  ),
  body_timeout: duration(
    { min: 10, max: DAY },
    {
      description:
        'Longest silence while a body moves, in either direction. A side that takes less than about 128 KiB in this time counts as silent.',
      default: '60s',
    },
  ),
  min_body_rate: size(
    { min: 0, max: 1024 ** 3 },
    {
      description:
        'Bytes a second that a client must send of a body, and take of a response, on average: each byte that moves buys back its part of `body_timeout`. One that is slower is cut off (408 where no response has begun). 0: any byte buys back all of it.',
      default: '240B',
    },
  ),
  tunnel_timeout: duration(
    { min: 10, max: TUNNEL_MAX },
    { description: 'Longest silence in an upgraded connection, such as a WebSocket.', default: '1h' },
  ),
  retries: integer(
    { min: 0, max: 10 },
    { description: 'Further nodes tried after a failure, where a retry is safe.', default: '2' },
    'nodes',
  ),
  max_fails: integer(
    { min: 0, max: 100 },
    {
      description:
        'A node that fails this many requests in a row on one thread (refuses, breaks off before its answer, or does not answer in time) is left out by all threads for `fail_timeout` and probed before it returns; 0: never.',
      default: '3',
    },
    'failures',
  ),
  fail_timeout: duration(
    { min: 100, max: HOUR },
    { description: 'How long a failing node is left out before it is probed, and between probes.', default: '5s' },
  ),
  via: notation<string | null>('token', parseVia, {
    description: 'Pseudonym to add in a Via header; left out (or `no`): no Via is added.',
    default: null,
  }),
};

const affinityKeys = {
  affinity: flag({
    description: "Sticky sessions: a cookie holds the SHA-1 of the node's `ip:port`, as Perlbal's SessionAffinity.",
    default: 'no',
  }),
  affinity_cookie_header: notation('token', parseCookieName, {
    description: "The cookie's name.",
    default: 'X-SERVERID',
  }),
  affinity_use_salt: flag({ description: 'Hash a salt in front of the `ip:port`.', default: 'no' }),
  affinity_salt: notation<string | null>(
    'text',
    (raw) => parseText(raw, { min: 1, max: 256 }),
    {
      description:
        'The salt; equal on every edge. Left out with `affinity_use_salt`: a random one, which the group agrees on.',
      default: null,
      defaultText: 'random',
    },
    '1 to 256 characters',
  ),
  affinity_use_domain: flag({
    description: 'Choose the node by the Host header, for cache locality. No cookie is read or set.',
    default: 'no',
  }),
  affinity_cookie_http_only: flag({ description: 'Hide the cookie from scripts (HttpOnly).', default: 'yes' }),
  affinity_cookie_secure: scalar(
    parseSecure,
    {
      description: 'Send the cookie over TLS only (Secure). `auto`: yes on TLS listeners, no on others.',
      type: '`auto` or yes/no',
      default: '`auto`',
      json: { default: 'auto', anyOf: [{ const: 'auto' }, ...FLAG_JSON.anyOf] },
    },
    'auto',
  ),
  affinity_cookie_same_site: scalar<SameSite | null>(
    parseSameSite,
    {
      description: 'The SameSite attribute. `None` needs Secure.',
      type: 'one of',
      default: 'none is sent',
      bounds: SAME_SITES.join(', '),
      json: { enum: SAME_SITES },
    },
    null,
  ),
  affinity_cookie_max_age: optionalDuration(
    { min: 1000, max: 400 * DAY },
    {
      description: 'The Max-Age attribute, rounded down to seconds.',
      default: null,
      defaultText: 'until the browser ends',
    },
  ),
  affinity_cookie_domain: notation<string | null>('domain', parseCookieDomain, {
    description: 'The Domain attribute.',
    default: null,
    defaultText: 'none is sent',
  }),
  affinity_cookie_partitioned: flag({ description: 'The Partitioned attribute (CHIPS). Needs Secure.', default: 'no' }),
};

/** The affinity_* keys that say how the cookie looks: without meaning where none is set. */
export const COOKIE_KEYS = Object.keys(affinityKeys).filter((key) => key.startsWith('affinity_cookie_'));
/** Every key that means nothing while affinity is off. */
export const AFFINITY_KEYS = Object.keys(affinityKeys).filter((key) => key !== 'affinity');

export const serviceSchema = section(z.strictObject({ ...proxyKeys, ...affinityKeys }), {
  description: 'One service: how requests are passed to a pool.',
  type: 'map',
  json: {},
});

function parseCookieName(raw: unknown): Parsed<string> {
  const name = parseText(raw, { min: 1, max: 64 });
  if (!name.ok || TOKEN_PATTERN.test(name.value)) return name;
  return refused(`${show(raw)} cannot name a cookie; write letters, digits, "-" and "_", such as X-SERVERID`);
}

/** "off" would be a lawful pseudonym, but nobody means it. */
function parseVia(raw: unknown): Parsed<string | null> {
  const flagged = parseFlag(raw);
  if (flagged.ok) return flagged.value ? refused('a pseudonym is wanted; write a name such as stekbal') : parsed(null);
  const name = parseText(raw, { min: 1, max: 64 });
  if (!name.ok || TOKEN_PATTERN.test(name.value)) return name;
  return refused(`${show(raw)} is not a pseudonym; write letters, digits, "-", "." and "_", such as stekbal`);
}

function parseVerifyPath(raw: unknown): Parsed<string> {
  const target = parseText(raw, { min: 1, max: 1024 });
  if (!target.ok || target.value === '*' || PATH_PATTERN.test(target.value)) return target;
  return refused(`${show(raw)} is not a request target; write "*" or a path such as /health, percent-encoded`);
}

function parseSecure(raw: unknown): Parsed<'auto' | boolean> {
  if (raw === 'auto') return parsed(raw);
  const result = parseFlag(raw);
  return result.ok ? result : refused(`${show(raw)} is not known; write auto, yes or no`);
}

/** RFC 6265bis, section 4.1.2.7: the words are matched in any letter case. */
function parseSameSite(raw: unknown): Parsed<SameSite> {
  const word = wordOf(raw);
  const found = SAME_SITES.find((name) => name.toLowerCase() === word);
  return found === undefined ? refused(`${show(raw)} is not known; write ${orList(SAME_SITES)}`) : parsed(found);
}

/** RFC 6265, section 5.2.3: a leading dot is ignored. */
function parseCookieDomain(raw: unknown): Parsed<string> {
  const domain = parseHost(typeof raw === 'string' ? raw.replace(/^\./, '') : raw);
  return domain.ok ? domain : refused(`${show(raw)} is not a domain; write one such as example.com`);
}
