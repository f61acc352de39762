/** Keys and rings for the tests. */

import { KeyRing } from '../../src/stek/key-ring.ts';
import { nameOf, TICKET_KEY_BYTES, type TicketKey } from '../../src/stek/ticket-key.ts';

/** A key whose 48 bytes all follow from `n` (1..255), no two of them equal. */
export function ticketKey(n: number): TicketKey {
  return Uint8Array.from({ length: TICKET_KEY_BYTES }, (_, i) => (n * 97 + i) & 0xff);
}

export function keyName(n: number): string {
  return nameOf(ticketKey(n));
}

/** A ring in which the keys 1..active have been active one after the other, each at `n * stepMs`, and the next is staged. */
export function ringOf(active: number, stepMs = 1_000): KeyRing {
  const ring = new KeyRing();
  for (let n = 1; n <= active; n++) {
    ring.apply({ kind: 'key-mint', key: ticketKey(n), atMs: n * stepMs });
    ring.apply({ kind: 'key-activate', name: keyName(n), atMs: n * stepMs });
  }
  ring.apply({ kind: 'key-mint', key: ticketKey(active + 1), atMs: active * stepMs });
  return ring;
}
