/**
 * How far apart words lie on a board that different threads write. Both sides of the thread boundary.
 *
 * A core that writes takes the whole line from all others, 64 bytes; Intel's prefetcher fetches lines in pairs of 128. A
 * SharedArrayBuffer begins where malloc puts it, at any multiple of 16 bytes, so that no word is sure to begin a line:
 * rows of whole lines, one at another, share one all the same. So nobody's words lie between two writers', a pair of lines
 * of them; native-free-bench/micro-contention.ts measures what it costs where they do not.
 */

/** Words of a pair of lines: whatever the buffer's address, what is so far apart shares none. */
export const SEPARATION = 32;
