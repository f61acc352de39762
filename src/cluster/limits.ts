/** The bounds of what a group's machines hand to each other, and how they hang together. Main thread. */

import assert from 'node:assert/strict';

/** One command. What the state machine takes is far smaller. */
export const COMMAND_BYTES_MAX = 64 * 1024;
/** Entries in one append, and appends under way to one follower. */
export const BATCH_MAX = 64;
export const IN_FLIGHT_MAX = 16;
/** Voters, and learners. */
export const MEMBERS_MAX = 256;
/** Proposals that wait at one server; beyond these the proposer is told to try again. */
export const PENDING_MAX = 1_000;
/** Clusters founded one after the other; a higher number is a fault, and not counted on. */
export const GENERATION_MAX = 1_000_000_000;
/** One message brings a member this many terms further at the most: a larger step, and a faulty peer would use them up. */
export const TERM_LEAP_MAX = 2 ** 32;
/** From here on it is TERM_STEP_MAX: terms must not come to where numbers are not exact any more. */
export const TERM_LEAP_END = 2 ** 52;
export const TERM_STEP_MAX = 1_024;
/** A peer's snapshot has no larger index: entries that follow on it need larger ones, which must be exact too. */
export const SNAPSHOT_INDEX_MAX = 2 ** 52;
/** The whole state, in a snapshot. */
export const SNAPSHOT_BYTES_MAX = 15 * 1024 * 1024;

/** What a connection may send before it has said who it is. */
export const HELLO_BYTES_MAX = 4 * 1024;
/** The largest frame there is. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;
/** Entries in one append of a peer's. */
export const ENTRIES_MAX = 1024;

/** What stands around the bytes of a command, and around those of a snapshot with all its members. */
const ENTRY_OVERHEAD_BYTES = 256;
const SNAPSHOT_OVERHEAD_BYTES = 2 * MEMBERS_MAX * 64 + 1024;

assert(BATCH_MAX <= ENTRIES_MAX);
assert(BATCH_MAX * (COMMAND_BYTES_MAX + ENTRY_OVERHEAD_BYTES) < FRAME_BYTES_MAX);
assert(SNAPSHOT_BYTES_MAX + SNAPSHOT_OVERHEAD_BYTES <= FRAME_BYTES_MAX);
