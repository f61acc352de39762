import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { descriptorShares, explainShortage } from '../../src/control/open-files.ts';

const asking = (connectionsMax: number | 'auto', workers = 1, listeners = 1) => ({
  workers,
  listeners: new Array<null>(listeners).fill(null),
  limits: { connectionsMax },
});

test('auto takes half of what the reserve leaves, and 100,000 at most', () => {
  assert.equal(descriptorShares(asking('auto'), 1_024).connectionsMax, 384);
  assert.equal(descriptorShares(asking('auto'), 1_048_576).connectionsMax, 100_000);
  assert.equal(descriptorShares(asking('auto'), Number.MAX_SAFE_INTEGER).connectionsMax, 100_000);
});

test('a file can ask for seven eighths of it, and is told where it asks for more', () => {
  assert.equal(descriptorShares(asking(600), 1_024).connectionsMax, 600);
  assert.equal(explainShortage(asking(600), 1_024), null);
  assert.equal(descriptorShares(asking(700), 1_024).connectionsMax, 672);
  assert.match(explainShortage(asking(700), 1_024) ?? '', /open files, 1024, has room for 672, /);
  assert.equal(explainShortage(asking('auto'), 20), null);
});

test('threads and listeners by the dozen leave less for connections, and half of the reserve as it is', () => {
  assert.equal(descriptorShares(asking('auto', 8, 5), 1_024).connectionsMax, 364);
  assert.equal(descriptorShares(asking('auto', 64, 2), 1_024).connectionsMax, 108);
  assert.match(explainShortage(asking(700, 64, 2), 1_024) ?? '', /has room for 189, /);
});

test('clients that are told that they are refused take an eighth of the reserve, of all threads together', () => {
  assert.equal(descriptorShares(asking('auto'), 1_024).refusalsMax, 32);
  assert.equal(descriptorShares(asking('auto', 8), 1_024).refusalsMax, 4);
  assert.equal(descriptorShares(asking('auto', 8), 1_048_576).refusalsMax, 16);
  assert.equal(descriptorShares(asking('auto', 64), 1_024).refusalsMax, 1);
});

test('clients, backends and the reserve never come to more than there is', () => {
  const asked = fc.oneof(fc.constant('auto' as const), fc.integer({ min: 1, max: 10_000_000 }));
  fc.assert(
    fc.property(
      asked,
      fc.integer({ min: 16, max: 2_000_000 }),
      fc.integer({ min: 1, max: 256 }),
      (max, files, workers) => {
        const shares = descriptorShares(asking(max, workers), files);
        const { connectionsMax, connectionsShare, upstreamsMax, upstreamsShare } = shares;
        assert.ok(Object.values(shares).every((share) => Number.isInteger(share) && share >= 1));
        assert.ok(connectionsMax + upstreamsMax <= Math.max(2, files - Math.min(1_024, files / 4)));
        assert.ok(connectionsShare * workers >= connectionsMax && upstreamsShare * workers >= upstreamsMax);
      },
    ),
  );
});
