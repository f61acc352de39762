/** All that can be measured beside each other, in the order of the tables. */

import { haproxy } from './haproxy.ts';
import { nginx } from './nginx.ts';
import { nodeWay } from './node-way.ts';
import { perlbal } from './perlbal.ts';
import { stekbal } from './stekbal.ts';
import type { Subject } from './subject.ts';
import { trafficserver } from './trafficserver.ts';

/** What the others are compared with, where it is there. */
export const REFERENCE = nginx.name;
export const OURS = 'stekbal';

export const SUBJECTS: readonly Subject[] = [
  stekbal(OURS),
  stekbal('stekbal-pipelined', 'pipelining: 32'),
  nginx,
  haproxy,
  trafficserver,
  perlbal,
  nodeWay('node:http', 'node-http.ts', null),
  nodeWay('undici', 'undici.ts', 'undici'),
  nodeWay('http-proxy-3', 'http-proxy-3.ts', 'http-proxy-3'),
  nodeWay('fastify', 'fastify.ts', '@fastify/http-proxy'),
];
