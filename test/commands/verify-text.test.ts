/** What `stekbal verify` prints. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderMatrices } from '../../src/commands/verify-text.ts';
import type { ProbeResult } from '../../src/control/resumption-probe.ts';

const TARGETS = [
  { host: '10.0.0.1', port: 443 },
  { host: '::1', port: 8443 },
];
const RESUMED: ProbeResult = { outcome: 'resumed' };
const REFUSED: ProbeResult = { outcome: 'failed', reason: '[::1]:8443: ECONNREFUSED' };

test('a matrix has a row for each ticket, each reason once, and a sum for all', () => {
  const matrices = [
    {
      version: 'TLSv1.2',
      serverName: null,
      results: [
        [RESUMED, RESUMED],
        [RESUMED, { outcome: 'full' }],
      ],
    },
    {
      version: 'TLSv1.3',
      serverName: 'a.example',
      results: [
        [RESUMED, REFUSED],
        [REFUSED, REFUSED],
      ],
    },
  ] as const;
  assert.equal(
    renderMatrices(TARGETS, matrices),
    `TLS 1.2, without SNI
ticket from      at 1     at 2
1  10.0.0.1:443  resumed  resumed
2  [::1]:8443    resumed  full

TLS 1.3, for a.example
ticket from      at 1     at 2
1  10.0.0.1:443  resumed  failed
2  [::1]:8443    failed   failed
[::1]:8443: ECONNREFUSED

4 of 8 did not resume
`,
  );
});

test('where all is well, the last line says so', () => {
  const matrices = [
    {
      version: 'TLSv1.3',
      serverName: null,
      results: [
        [RESUMED, RESUMED],
        [RESUMED, RESUMED],
      ],
    },
  ] as const;
  assert.match(renderMatrices(TARGETS, matrices), /\n\nall 4 resumed\n$/);
});
