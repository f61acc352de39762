/** Bytes as text, one character a byte. Listener threads. */

interface Latin1Sliceable {
  latin1Slice(start: number, end: number): string;
}

/** `bytes[start, end)` as latin1: what toString('latin1') calls in the end, without its argument handling. */
export function latin1(bytes: Buffer, start: number, end: number): string {
  return (bytes as unknown as Latin1Sliceable).latin1Slice(start, end);
}
