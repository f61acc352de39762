/** What a reload came to: for the log, the service manager and whoever asked. Plain data; main thread. */

export interface ReloadResult {
  readonly isOk: boolean;
  /** What is served is as the file says. With `isOk` false: something else that the file says could not be brought in force. */
  readonly isServed: boolean;
  /** What is wrong: `FILE:LINE:COLUMN: ...` where a place is to blame. */
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
  /** Keys that differ in the file and come into force after a restart alone. */
  readonly waiting: readonly string[];
}

/** Whether this edge should get requests. */
export interface Readiness {
  readonly isReady: boolean;
  /** Why it is not; empty where it is. */
  readonly reasons: readonly string[];
}
