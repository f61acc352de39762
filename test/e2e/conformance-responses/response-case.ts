/** What a backend sends, and what the client must get of it: the form of the suite's cases. Texts are latin1. */

export const CLIENTS = ['1.1', '1.1 close', '1.0', '1.0 keep-alive'] as const;
/** The version that a client speaks, and whether it asks for its connection to end or to stay, other than by default. */
export type Client = (typeof CLIENTS)[number];

/** A backend's move: bytes to send, to end its side, to break off, or to wait until the client has received something. */
export type Step = string | typeof FIN | typeof RST | typeof RECEIVED;
export const FIN = Symbol('FIN');
export const RST = Symbol('RST');
export const RECEIVED = Symbol('the client has received something');

/** All that a client receives on its connection, and what becomes of that: it stays open, or how it ends. */
export interface Seen {
  readonly bytes: string;
  readonly end: 'open' | 'FIN' | 'RST';
}

export interface ResponseCase {
  readonly name: string;
  /** GET where it is left out. */
  readonly request?: RequestShape;
  readonly script: readonly Step[];
  /** What each client must get; null: the case is none for such a client. */
  readonly seen: (client: Client) => Seen | null;
  /** The backend's connection may be used for another request. */
  readonly isReused: boolean;
  /** The response breaks off: a client that takes what it gets for whole is deceived. */
  readonly isCut?: boolean;
  /** What one who overlooks the fault takes for all of the content: it is not the beginning alone. */
  readonly lenient?: string;
}

export interface CaseGroup {
  readonly name: string;
  readonly cases: readonly ResponseCase[];
}

export interface RequestShape {
  readonly method: string;
  /** Field lines besides Host and Connection. */
  readonly lines?: readonly string[];
  readonly body?: string;
}

export const HEAD: RequestShape = { method: 'HEAD' };
/** A request of which most is still to be sent. */
export const UPLOAD: RequestShape = { method: 'POST', lines: ['Content-Length: 1000000'], body: 'x'.repeat(1000) };
export const UPGRADE: RequestShape = { method: 'GET', lines: ['Connection: upgrade', 'Upgrade: echo, chat/2'] };

/** What no client may get as the answer to its own request. */
export const POISON = 'POISON';
export const POISONED = `HTTP/1.1 200 OK\r\nContent-Length: ${POISON.length}\r\n\r\n${POISON}`;

export function requestText(path: string, client: Client, shape: RequestShape = { method: 'GET' }): string {
  const [version, option] = client.split(' ');
  const lines = [`${shape.method} ${path} HTTP/${version}`, 'Host: a', ...(shape.lines ?? [])];
  if (option !== undefined) lines.push(`Connection: ${option}`);
  return [...lines, '', shape.body ?? ''].join('\r\n');
}

/** The program's own answer. */
export function localAnswer(status: number, reason: string, client: Client, withoutBody = false): Seen {
  const body = `${status} ${reason}\n`;
  const close = client === '1.1' ? '' : 'Connection: close\r\n';
  const head = `HTTP/1.1 ${status} ${reason}\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n`;
  const bytes = `${head}Cache-Control: no-store\r\n${close}\r\n${withoutBody ? '' : body}`;
  return { bytes, end: client === '1.1' ? 'open' : 'FIN' };
}

/** The backend's response is refused, whoever the client is: 502, and its connection is not used again. */
export function refused(name: string, ...script: readonly Step[]): ResponseCase {
  return { name, script, seen: (client) => localAnswer(502, 'Bad Gateway', client), isReused: false };
}

export interface Relayed {
  /** Status line and fields as every client gets them, without the fields of its own connection and framing. */
  readonly head: string;
  /** As HTTP/1.1 clients get it. */
  readonly body?: string;
  /** HTTP/1.1 clients get the body in chunks, others the content alone, until close. */
  readonly content?: string;
  /** Interim responses before it, for HTTP/1.1 clients. */
  readonly interims?: string;
  /** It breaks off. */
  readonly isCut?: boolean;
}

/** What a client gets of a response that is handed on. */
export function relayed(client: Client, { head, body = '', content, interims = '', isCut = false }: Relayed): Seen {
  const is10 = client.startsWith('1.0');
  const untilClose = is10 && content !== undefined;
  const keeps = client === '1.1' || (client === '1.0 keep-alive' && !untilClose);
  const lines = [head];
  if (content !== undefined && !is10) lines.push('Transfer-Encoding: chunked');
  if (!keeps) lines.push('Connection: close');
  else if (is10) lines.push('Connection: keep-alive');
  return {
    bytes: `${is10 ? '' : interims}${lines.join('\r\n')}\r\n\r\n${is10 ? (content ?? body) : body}`,
    end: isCut ? (untilClose ? 'RST' : 'FIN') : keeps ? 'open' : 'FIN',
  };
}

/** The response is handed on as it came, but for what is between backend and program. */
export function passed(
  name: string,
  script: readonly Step[],
  answer: Relayed,
  options: Partial<Pick<ResponseCase, 'request' | 'isReused'>> = {},
): ResponseCase {
  const isCut = answer.isCut === true;
  return { name, script, seen: (client) => relayed(client, answer), isReused: !isCut, isCut, ...options };
}
