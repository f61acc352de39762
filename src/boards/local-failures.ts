/** Errors of a connection that are no other machine's fault. Both kinds of threads; pure. */

/** This machine has run out of something: no node's fault, and another one would fail the same. */
export const LOCAL_FAILURES: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);
