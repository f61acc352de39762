/**
 * Domain mode: the Host header alone chooses the node, for cache locality. Pure, listener threads.
 */

/**
 * Index of the node for a Host header: the sum of its character codes, mod `count` (SessionAffinity 0.110), over the
 * nodes sorted by their "ip:port" string. The header's bytes are `bytes[start, end)`; an empty one gives 0.
 */
export function domainIndex(bytes: Uint8Array, start: number, end: number, count: number): number {
  let sum = 0;
  for (let i = start; i < end; i++) sum += bytes[i] as number;
  return sum % count;
}
