/**
 * What can be wrong with a message, as values: the hot path throws nothing. A request's fault is answered with its
 * status and a closed connection; a response's fault makes the exchange a 502. Listener threads.
 */

export interface MessageFault {
  /** Status for the client where the fault is in its request. */
  readonly status: 400 | 408 | 414 | 417 | 431 | 501 | 505;
  /** For the log and the counters; says what was wrong, holds nothing that the peer sent. */
  readonly reason: string;
}

function fault(status: MessageFault['status'], reason: string): MessageFault {
  return Object.freeze({ status, reason });
}

export const FAULT = {
  requestLine: fault(400, 'malformed request line'),
  target: fault(400, 'malformed request target'),
  targetTooLong: fault(414, 'request target too long'),
  version: fault(505, 'HTTP version not supported'),
  connect: fault(501, 'CONNECT is not served'),
  traceContent: fault(400, 'TRACE with content'),
  statusLine: fault(400, 'malformed status line'),
  lineEnd: fault(400, 'line does not end in CR LF'),
  fieldName: fault(400, 'malformed field name'),
  fieldValue: fault(400, 'invalid byte in a field value'),
  tooManyFields: fault(431, 'too many fields'),
  headTooLarge: fault(431, 'head too large'),
  hostMissing: fault(400, 'no Host field'),
  hostRepeated: fault(400, 'more than one Host field'),
  host: fault(400, 'malformed Host field'),
  contentLength: fault(400, 'malformed Content-Length'),
  contentLengthRepeated: fault(400, 'more than one Content-Length'),
  lengthAndCoding: fault(400, 'both Content-Length and Transfer-Encoding'),
  coding: fault(400, 'chunked is not the last transfer coding, or stands there twice'),
  codingUnknown: fault(501, 'transfer coding not supported'),
  codingIn10: fault(400, 'Transfer-Encoding in an HTTP/1.0 message'),
  connection: fault(400, 'malformed Connection field, or one that names a field it must not'),
  upgrade: fault(400, 'more than one Upgrade field'),
  expectation: fault(417, 'expectation not supported'),
  chunkSize: fault(400, 'malformed chunk size'),
  chunkExtension: fault(400, 'malformed or overlong chunk extension'),
  chunkEnd: fault(400, 'chunk does not end where its size says'),
  trailer: fault(400, 'malformed or overlong trailer section'),
  headTimeout: fault(408, 'head not received in time'),
} as const;

/** The head, or what is asked for, is not whole yet: more bytes may make it so. */
export const INCOMPLETE = -1;
/** The message is faulty; the parser's `fault` says how. */
export const FAULTY = -2;
