/** Reads what a client has received, independently of the program: where its answer ends, and whether it is whole. */

export interface Answer {
  /** Of the final response; 0 while there is none. */
  readonly status: number;
  /** The head of the final response. */
  readonly head: string;
  readonly content: string;
  /** Index of the first byte behind it. */
  readonly past: number;
  /** Nothing is missing. A body until close is whole when the connection has ended, if by a FIN. */
  readonly isWhole: boolean;
  readonly isUntilClose: boolean;
}

const NONE: Answer = { status: 0, head: '', content: '', past: 0, isWhole: false, isUntilClose: false };

/** `end`: how the connection has ended; null while it is open. */
export function readAnswer(received: string, method: string, end: string | null): Answer {
  let pos = 0;
  for (;;) {
    const headEnd = received.indexOf('\r\n\r\n', pos);
    const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(received.slice(pos))?.[1] ?? 0);
    if (headEnd < 0 || status === 0) {
      // what is no HTTP/1 at all is handed on by some as HTTP/0.9
      const isOld = received.length > pos && !'HTTP/1.'.startsWith(received.slice(pos, pos + 7));
      return isOld && end !== null
        ? { ...NONE, status: 200, content: received, isWhole: end === 'FIN', isUntilClose: true }
        : NONE;
    }
    const head = received.slice(pos, headEnd + 4);
    pos = headEnd + 4;
    if (status < 200 && status !== 101) continue;
    return { ...readBody(received, pos, head, status, method, end), status, head };
  }
}

type Body = Pick<Answer, 'content' | 'past' | 'isWhole' | 'isUntilClose'>;

function readBody(text: string, start: number, head: string, status: number, method: string, end: string | null): Body {
  if (method === 'HEAD' || status === 204 || status === 304) {
    return { content: '', past: start, isWhole: true, isUntilClose: false };
  }
  if (/\r\ntransfer-encoding: *chunked\r\n/i.test(head)) return readChunks(text, start);
  const length = /\r\ncontent-length:[ \t]*(\d+)/i.exec(head)?.[1];
  if (length !== undefined && status !== 101) {
    const past = start + Number(length);
    return { content: text.slice(start, past), past, isWhole: text.length >= past, isUntilClose: false };
  }
  return { content: text.slice(start), past: text.length, isWhole: end === 'FIN', isUntilClose: true };
}

function readChunks(text: string, start: number): Body {
  let content = '';
  for (let pos = start; ; ) {
    const size = /^([0-9a-f]+)[^\r\n]*\r\n/i.exec(text.slice(pos));
    if (size === null) return { content, past: text.length, isWhole: false, isUntilClose: false };
    const length = Number.parseInt(size[1] as string, 16);
    pos += size[0].length;
    if (length === 0) {
      const trailers = /^(?:[^\r\n]+\r\n)*\r\n/.exec(text.slice(pos));
      const past = trailers === null ? text.length : pos + trailers[0].length;
      return { content, past, isWhole: trailers !== null, isUntilClose: false };
    }
    content += text.slice(pos, pos + length);
    if (text.slice(pos + length, pos + length + 2) !== '\r\n') {
      return { content, past: text.length, isWhole: false, isUntilClose: false };
    }
    pos += length + 2;
  }
}
