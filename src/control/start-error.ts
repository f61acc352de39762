/** Main thread. */

/** Why the program cannot start, said for an operator. */
export class StartError extends Error {
  /** The system's, such as EADDRINUSE. */
  readonly code: string | null;
  constructor(message: string, code: string | null = null) {
    super(message);
    this.code = code;
  }
}
