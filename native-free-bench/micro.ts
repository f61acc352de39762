/** The parts that are measured by themselves, in this process. */

import type { Effort, Sampled } from './figures.ts';
import { run as boardReads } from './micro-board-reads.ts';
import { run as contention } from './micro-contention.ts';
import { run as cookieScan } from './micro-cookie-scan.ts';
import { run as headParser } from './micro-head-parser.ts';
import { run as raft } from './micro-raft.ts';
import { run as routeLookup } from './micro-route-lookup.ts';
import { run as serviceCounts } from './micro-service-counts.ts';
import { run as tickets } from './micro-tickets.ts';

export interface Part {
  readonly name: string;
  readonly title: string;
  run(effort: Effort): Promise<Sampled[]>;
}

export const PARTS: readonly Part[] = [
  { name: 'head-parser', title: 'heads', run: headParser },
  { name: 'cookie-scan', title: 'cookie scan', run: cookieScan },
  { name: 'route-lookup', title: 'route look-up', run: routeLookup },
  { name: 'board-reads', title: 'board reads while publishing', run: boardReads },
  { name: 'tickets', title: 'ticket callback', run: tickets },
  { name: 'raft', title: 'Raft, a group of three', run: raft },
  { name: 'counting', title: 'counting of requests', run: serviceCounts },
  { name: 'contention', title: 'counting beside another thread', run: contention },
];
