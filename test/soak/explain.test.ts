/** The rules by which a soak puts a failure down to a fault: each narrow in kind, place and time. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from './explain.ts';
import { type Failure, SYMPTOMS } from './failure.ts';
import { FAULT_KINDS, type Fault } from './fault.ts';
import { RULES, SLACK_MS } from './rules.ts';

const NODE = '127.0.0.1:1';
const OTHER = '127.0.0.1:2';

function failure(changes: Partial<Failure>): Failure {
  return {
    traffic: 'test',
    symptom: 'broken',
    id: 'x',
    edge: 2,
    node: NODE,
    pool: 'plain',
    isSafe: true,
    isReused: false,
    attempts: null,
    ticketMs: null,
    ticketEdge: null,
    fromMs: 10_000,
    atMs: 10_000,
    detail: '',
    ...changes,
  };
}

function fault(changes: Partial<Fault>): Fault {
  return { kind: 'edge-killed', edge: null, node: null, pool: null, fromMs: 9_000, untilMs: 11_000, ...changes };
}

test('without a fault nothing is explained', () => {
  for (const symptom of SYMPTOMS) assert.equal(explain(failure({ symptom }), []), null, symptom);
});

test('a wrong answer and a timeout are explained by no fault whatsoever', () => {
  const all = FAULT_KINDS.map((kind) => fault({ kind, edge: 2, node: NODE, pool: 'plain' }));
  for (const symptom of ['wrong', 'timeout'] as const) {
    assert.equal(explain(failure({ symptom, ticketMs: 0, isSafe: false, isReused: true }), all), null, symptom);
  }
});

test('a broken connection is explained by its own edge being killed, not by another', () => {
  assert.ok(explain(failure({}), [fault({ edge: 2 })]));
  assert.equal(explain(failure({}), [fault({ edge: 3 })]), null);
  assert.equal(explain(failure({}), [fault({ edge: 2, kind: 'flood' })]), null);
});

test('a fault explains what happens while it is on and within its grace, and nothing before or after', () => {
  const killed = [fault({ edge: 2, fromMs: 9_000, untilMs: 11_000 })];
  const at = (ms: number) => explain(failure({ fromMs: ms, atMs: ms }), killed) !== null;
  assert.deepEqual([9_000 - SLACK_MS - 1, 9_000 - SLACK_MS, 10_000, 11_000 + SLACK_MS, 11_000 + SLACK_MS + 1].map(at), [
    false,
    true,
    true,
    true,
    false,
  ]);
});

test('a node that was killed explains the 502 of what was on it then, and not of what comes while it refuses', () => {
  const killed = [fault({ kind: 'backend-killed', node: NODE, pool: 'plain', fromMs: 9_000, untilMs: 60_000 })];
  const of = (changes: Partial<Failure>) => explain(failure({ symptom: '502', ...changes }), killed) !== null;
  assert.equal(of({ fromMs: 8_900, atMs: 9_100 }), true);
  assert.equal(of({ fromMs: 20_000, atMs: 20_001 }), false);
  assert.equal(of({ fromMs: 8_900, atMs: 9_100, node: OTHER }), false);
  assert.equal(of({ fromMs: 8_900, atMs: 9_100, node: null }), true);
  assert.equal(of({ fromMs: 8_900, atMs: 9_100, node: null, pool: 'sticky' }), false);
});

test('a GET that was sent again is not excused by a node that closes its connections; one of a new connection is, and a POST', () => {
  const refusing = [fault({ kind: 'backend-refusing', node: NODE, pool: 'plain', fromMs: 9_900 })];
  assert.equal(explain(failure({ symptom: '502', isSafe: true, attempts: 2 }), refusing), null);
  assert.equal(explain(failure({ symptom: '502', isSafe: true }), refusing), null);
  assert.ok(explain(failure({ symptom: '502', isSafe: true, attempts: 1 }), refusing));
  assert.ok(explain(failure({ symptom: '502', isSafe: false }), refusing));
});

test('503 is explained where the whole pool was dead, and nowhere else', () => {
  const outage = [fault({ kind: 'pool-outage', pool: 'plain' })];
  const one = [fault({ kind: 'backend-killed', node: NODE, pool: 'plain' })];
  assert.ok(explain(failure({ symptom: '503' }), outage));
  assert.equal(explain(failure({ symptom: '503', pool: 'sticky' }), outage), null);
  assert.equal(explain(failure({ symptom: '503' }), one), null);
});

test('a full handshake is explained by a revocation where the ticket is older than it, and not by a rotation', () => {
  const of = (kind: Fault['kind'], ticketMs: number) =>
    explain(failure({ symptom: 'full-handshake', ticketMs, fromMs: 90_000, atMs: 90_000 }), [fault({ kind })]) !== null;
  assert.equal(of('keys-revoked', 8_000), true);
  assert.equal(of('keys-revoked', 11_000 + SLACK_MS + 1), false);
  assert.equal(of('keys-rotated', 8_000), false);
  assert.equal(of('reload-certificates', 8_000), false);
});

test('what an edge was to meet while it was stopped, it may meet when it goes on', () => {
  const killed = fault({ kind: 'backend-killed', node: NODE, pool: 'plain', fromMs: 9_000, untilMs: 9_100 });
  // the second ends while what a killed node brings may still be met
  for (const untilMs of [13_000, 10_450]) {
    const pause = (edge: number) => fault({ kind: 'edge-paused', edge, fromMs: 8_500, untilMs });
    const at = (ms: number) => failure({ symptom: '502', fromMs: ms, atMs: ms });
    const late = at(untilMs + 100);
    assert.equal(explain(late, [killed]), null);
    assert.equal(explain(late, [killed, pause(3)]), null);
    assert.ok(explain(late, [killed, pause(2)]));
    assert.equal(explain(at(untilMs + SLACK_MS + 1), [killed, pause(2)]), null);
  }
});

test('a ticket that an edge made while it was cut off is lost only where the keys were revoked meanwhile', () => {
  const partition = fault({ kind: 'partition', edge: 3 });
  const revoked = fault({ kind: 'keys-revoked', fromMs: 8_000, untilMs: 10_000 });
  const lost = (ticketEdge: number, ticketMs: number, faults: readonly Fault[]) =>
    explain(failure({ symptom: 'full-handshake', ticketEdge, ticketMs, fromMs: 13_000, atMs: 13_000 }), faults) !==
    null;
  assert.equal(lost(3, 12_800, [partition, revoked]), true);
  assert.equal(lost(3, 12_800, [partition]), false);
  assert.equal(lost(1, 12_800, [partition, revoked]), false);
  assert.equal(lost(3, 12_800, [fault({ kind: 'partition', edge: 3, fromMs: 1_000, untilMs: 2_000 }), revoked]), false);
});

test('an error line is explained by its own text alone', () => {
  const killed = [fault({ kind: 'thread-killed', edge: 2 })];
  const line = (detail: string) => explain(failure({ symptom: 'error-line', detail }), killed) !== null;
  assert.equal(line('listener thread ended; another takes its place'), true);
  assert.equal(line('an admin request failed'), false);
});

test('no rule is there for what can always be: each names its kinds and its symptoms', () => {
  for (const { kinds, symptoms, why } of RULES) assert.ok(kinds.length > 0 && symptoms.length > 0 && why !== '');
});
