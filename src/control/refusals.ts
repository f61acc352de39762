/** Counting and saying refusals without flooding the log: for peers and for the admin API alike. Main thread. */

export { Refusals } from '../cluster/refusals.ts';
