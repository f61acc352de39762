/**
 * The schema of a pool's health check. Names, and defaults where they have any, are what operators of HAProxy, nginx and
 * Caddy know. Main thread.
 */

import { z } from 'zod';
import { parseHost, parseTarget } from './addresses.ts';
import { joinHostPort, type StatusRange } from './config.ts';
import { choice, duration, integer, notation, scalar, section, shorthand } from './schema-units.ts';
import { PATH_PATTERN, type Parsed, parsed, parseFlag, parseText, refused, show } from './units.ts';

const HOUR = 3_600_000;
const CHECK_TYPES = ['http', 'tcp'] as const;
const STATUS_MIN = 200;
const STATUS_MAX = 599;
const JITTER_MAX = 50;
const TIMEOUT_DEFAULT = '1s';
export const INTERVAL_DEFAULT = '2s';

const httpKeys = {
  method: choice(['GET', 'HEAD', 'OPTIONS'], { description: 'The method of the request.', default: 'GET' }),
  path: notation('text', parsePath, { description: 'What is asked for.', default: '/' }, 'begins with `/`'),
  host: notation<string | null>(
    'name',
    parseHostHeader,
    { description: 'The Host header.', default: null, defaultText: "the node's address" },
    '`name`, `name:port`',
  ),
  expected_status: scalar<StatusRange[]>(
    parseStatuses,
    {
      description: 'The answers that pass; redirects are not followed.',
      type: 'statuses',
      default: '`200-399`',
      bounds: '`204`, `200-299`, `"200,204,300-399"`, or a list; 200 to 599',
      json: {
        default: '200-399',
        anyOf: [
          { type: 'integer', minimum: STATUS_MIN, maximum: STATUS_MAX },
          { type: 'string' },
          { type: 'array', minItems: 1, items: { type: ['integer', 'string'] } },
        ],
      },
    },
    '200-399',
  ),
};

/** The keys that mean nothing where a connection alone is checked. */
export const HTTP_CHECK_KEYS = Object.keys(httpKeys);

const healthCheckMapSchema = section(
  z.strictObject({
    type: scalar(
      parseType,
      {
        description: '`http`: a request is answered as expected. `tcp`: a connection is accepted.',
        type: 'one of',
        default: '`http`',
        bounds: CHECK_TYPES.join(', '),
        json: { enum: CHECK_TYPES, default: 'http' },
      },
      'http',
    ),
    ...httpKeys,
    port: scalar<number | null>(
      parsePort,
      {
        description: 'The port to check.',
        type: 'port',
        default: "the node's own",
        bounds: '1 to 65535',
        json: { type: 'integer', minimum: 1, maximum: 65_535 },
      },
      null,
    ),
    interval: duration(
      { min: 100, max: HOUR },
      { description: 'Longest time from the beginning of one check to that of the next.', default: INTERVAL_DEFAULT },
    ),
    jitter: scalar(
      parseJitter,
      {
        description: 'How much shorter that time may be, at random, so that checks do not come in step.',
        type: 'per cent',
        default: '`10%`',
        bounds: `0% to ${JITTER_MAX}%`,
        json: { type: 'string', pattern: '^\\d+(\\.\\d+)?%$', default: '10%' },
      },
      '10%',
    ),
    timeout: duration(
      { min: 10, max: HOUR },
      {
        description: 'For a whole check; at most `interval`, to which the default yields.',
        default: TIMEOUT_DEFAULT,
      },
    ),
    rise: integer(
      { min: 1, max: 100 },
      { description: 'Checks in a row that must pass to bring a node back.', default: '2' },
      'checks',
    ),
    fall: integer(
      { min: 1, max: 100 },
      { description: 'Checks in a row that must fail to put a node out; the very first decides alone.', default: '3' },
      'checks',
    ),
  }),
  { description: 'How nodes are checked.', type: '`http`, `tcp` or map', json: {} },
);

export const healthCheckSchema = shorthand(healthCheckMapSchema, 'type', {
  description: 'Check each node all along, and send no request to one that fails: its type, or a map.',
  type: '`http`, `tcp` or map',
  default: 'no checks',
  json: { anyOf: [{ enum: CHECK_TYPES }] },
});

export type RawHealthCheck = z.output<typeof healthCheckMapSchema>;

function parseType(raw: unknown): Parsed<(typeof CHECK_TYPES)[number]> {
  const found = CHECK_TYPES.find((type) => type === raw);
  if (found !== undefined) return parsed(found);
  const flag = parseFlag(raw);
  if (flag.ok && !flag.value) return refused(`${show(raw)} is not needed; leave health_check out for no checks`);
  return refused(`${show(raw)} is not a health check; write http or tcp`);
}

function parsePath(raw: unknown): Parsed<string> {
  const path = parseText(raw, { min: 1, max: 1024 });
  if (!path.ok || PATH_PATTERN.test(path.value)) return path;
  return refused(`${show(raw)} is not a path; write one such as /healthz, percent-encoded`);
}

function parseHostHeader(raw: unknown): Parsed<string | null> {
  const host = parseHost(raw);
  if (host.ok) return parsed(host.value.includes(':') ? `[${host.value}]` : host.value);
  const target = parseTarget(raw);
  if (target.ok) return parsed(joinHostPort(target.value.host, target.value.port));
  return refused(`${show(raw)} is not a Host; write a name such as www.example.com, with a port if it needs one`);
}

function parsePort(raw: unknown): Parsed<number> {
  const port = typeof raw === 'string' && /^\d{1,5}$/.test(raw) ? Number(raw) : raw;
  if (typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65_535) return parsed(port);
  return refused(`${show(raw)} is not a port; write a number from 1 to 65535`);
}

function parseJitter(raw: unknown): Parsed<number> {
  const percent = typeof raw === 'string' ? /^(\d{1,3}(?:\.\d{1,3})?)%$/.exec(raw)?.[1] : raw === 0 ? '0' : undefined;
  if (percent !== undefined && Number(percent) <= JITTER_MAX) return parsed(Number(percent) / 100);
  return refused(`${show(raw)} is not a share of the interval; write 0% to ${JITTER_MAX}%, such as 10%`);
}

function parseStatuses(raw: unknown): Parsed<StatusRange[]> {
  const parts = Array.isArray(raw) ? raw : typeof raw === 'string' ? raw.split(',') : [raw];
  const ranges: StatusRange[] = [];
  for (const part of parts) {
    const match = /^\s*(\d{3})(?:\s*-\s*(\d{3}))?\s*$/.exec(typeof part === 'object' ? '' : String(part));
    const [from, to] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])];
    if (match === null || from < STATUS_MIN || to > STATUS_MAX || from > to) {
      const forms = '204, 200-399 or "200,204,300-399"';
      return refused(`${show(part)} is not a status or a range from 200 to 599; write ${forms}, say`);
    }
    ranges.push({ from, to });
  }
  return ranges.length > 0 ? parsed(ranges) : refused('the list is empty; write at least one item');
}
