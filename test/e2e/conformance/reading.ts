/**
 * A reader of requests, independent of the program: strict by default, and lenient in the ways in which known servers
 * are. Where two readings of what reached a backend differ, a request can be smuggled past one of them. Test support.
 */

/** How lines end: by the letter; also in a bare LF; also in a bare CR. */
type LineEnd = 'crlf' | 'lf' | 'cr';

/** What a server does with what it should refuse. A strict one refuses: `malformed`. */
export interface Reading {
  readonly name: string;
  readonly isStrict: boolean;
  readonly lineEnd: LineEnd;
  /** Of chunk-size lines, where another rule holds for those. */
  readonly chunkLineEnd: LineEnd;
  readonly fold: 'joined' | 'own line' | 'left out';
  /** Names are compared by their letters alone: white space, controls, hyphens and underscores do not count. */
  readonly hasLooseNames: boolean;
  /** Any value that holds the word is chunked; else only the word itself is, and all other codings are ignored. */
  readonly hasLooseCodings: boolean;
  readonly wins: 'Transfer-Encoding' | 'Content-Length';
  readonly ofSeveralLengths: 'first' | 'last';
  /** Numbers are their longest sound beginning, with sign, white space, 0x and octal, as strtol reads them. */
  readonly hasLooseNumbers: boolean;
  /** Chunk sizes wrap at 32 bits. */
  readonly wraps: boolean;
  /** The two bytes behind a chunk's data are skipped, whatever they are. */
  readonly skipsChunkEnd: boolean;
  /** A NUL ends a line. */
  readonly endsAtNul: boolean;
}

const STRICT_RULES: Reading = {
  name: 'by the letter',
  isStrict: true,
  lineEnd: 'crlf',
  chunkLineEnd: 'crlf',
  fold: 'left out',
  hasLooseNames: false,
  hasLooseCodings: false,
  wins: 'Transfer-Encoding',
  ofSeveralLengths: 'first',
  hasLooseNumbers: false,
  wraps: false,
  skipsChunkEnd: false,
  endsAtNul: false,
};

function lenient(name: string, rules: Partial<Reading>): Reading {
  return { ...STRICT_RULES, isStrict: false, name, ...rules };
}

export const STRICT: Reading = STRICT_RULES;

export const LENIENT: readonly Reading[] = [
  lenient('Transfer-Encoding wins, only its exact form counts', {}),
  lenient('Content-Length wins', { wins: 'Content-Length' }),
  lenient('the last Content-Length counts', { ofSeveralLengths: 'last', wins: 'Content-Length' }),
  lenient('any Transfer-Encoding that looks like chunked counts', { hasLooseCodings: true }),
  lenient('names count by their letters', { hasLooseNames: true, hasLooseCodings: true }),
  lenient('names count by their letters, Content-Length wins', { hasLooseNames: true, wins: 'Content-Length' }),
  lenient('a bare LF ends a line', { lineEnd: 'lf', chunkLineEnd: 'lf' }),
  lenient('a bare CR ends a line', { lineEnd: 'cr', chunkLineEnd: 'cr' }),
  lenient('a bare LF ends a chunk-size line', { chunkLineEnd: 'lf' }),
  lenient('folded lines are joined', { fold: 'joined', hasLooseCodings: true }),
  lenient('a folded line is a line of its own', { fold: 'own line' }),
  lenient('numbers as strtol reads them', { hasLooseNumbers: true }),
  lenient('numbers as strtol reads them, the last Content-Length counts', {
    hasLooseNumbers: true,
    wins: 'Content-Length',
    ofSeveralLengths: 'last',
  }),
  lenient('chunk sizes wrap at 32 bits', { wraps: true, hasLooseNumbers: true }),
  lenient('the bytes behind a chunk are skipped', { skipsChunkEnd: true }),
  lenient('a NUL ends a line', { endsAtNul: true }),
];

export interface ReadField {
  readonly name: string;
  readonly value: string;
}

export interface ReadRequest {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly ReadField[];
  readonly body: string;
  readonly trailers: readonly string[];
  /** Where it begins in the bytes, where its head ends, and where it ends. */
  readonly start: number;
  readonly headEnd: number;
  readonly end: number;
}

export interface ReadConnection {
  readonly requests: readonly ReadRequest[];
  /** Where the first byte stands that is of no whole request. */
  readonly rest: number;
  /** What is wrong with what stands there; empty where it is only unfinished, or nothing. */
  readonly malformed: string;
}

/** More is needed to know. */
const MORE = Symbol('more');
type More = typeof MORE;

class Malformed extends Error {}

/** All requests in what came over one connection (latin1). */
export function readConnection(bytes: string, reading: Reading): ReadConnection {
  const requests: ReadRequest[] = [];
  let at = 0;
  try {
    while (at < bytes.length) {
      const request = readRequest(bytes, at, reading);
      if (request === MORE) break;
      requests.push(request);
      at = request.end;
    }
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return { requests, rest: at, malformed: error.message };
  }
  return { requests, rest: at, malformed: '' };
}

/** The first head without its body: for a server that answers before it has read that. */
export function readHead(bytes: string): Head | null {
  try {
    const head = headAt(bytes, 0, STRICT);
    return head === MORE ? null : head;
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return null;
  }
}

function readRequest(bytes: string, at: number, reading: Reading): ReadRequest | More {
  const head = headAt(bytes, at, reading);
  if (head === MORE) return MORE;
  const length = framingOf(head.fields, reading);
  if (length === 'chunked') {
    const body = readChunks(bytes, head.headEnd, reading);
    return body === MORE ? MORE : { ...head, ...body };
  }
  const end = head.headEnd + length;
  return end > bytes.length ? MORE : { ...head, body: bytes.slice(head.headEnd, end), trailers: [], end };
}

type Head = Pick<ReadRequest, 'method' | 'target' | 'fields' | 'start' | 'headEnd'>;

function headAt(bytes: string, start: number, reading: Reading): Head | More {
  let at = start;
  const skipped = reading.isStrict ? '' : (/^[\r\n]+/.exec(bytes.slice(at, at + 8))?.[0] ?? '');
  at += skipped.length;
  const first = lineAt(bytes, at, reading.lineEnd);
  if (first === MORE) return MORE;
  const [method = '', target = ''] = startLine(cut(first.text, reading), reading);
  const fields: { name: string; value: string }[] = [];
  for (at = first.next; ; ) {
    const line = lineAt(bytes, at, reading.lineEnd);
    if (line === MORE) return MORE;
    at = line.next;
    if (line.text === '') return { method, target, fields, start, headEnd: at };
    addField(fields, cut(line.text, reading), reading);
  }
}

function cut(line: string, reading: Reading): string {
  return reading.endsAtNul ? (line.split('\0')[0] as string) : line;
}

function startLine(line: string, reading: Reading): string[] {
  const strict = /^([!#$%&'*+\-.^_`|~\w]+) ([\x21-\x7e]+) HTTP\/1\.[01]$/.exec(line);
  if (strict !== null) return strict.slice(1);
  if (reading.isStrict) throw new Malformed(`request line ${JSON.stringify(line.slice(0, 60))}`);
  return line.split(/\s+/);
}

function addField(fields: { name: string; value: string }[], line: string, reading: Reading): void {
  const strict = /^([!#$%&'*+\-.^_`|~\w]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(line);
  if (strict !== null) {
    fields.push({ name: strict[1] as string, value: strict[2] as string });
    return;
  }
  if (reading.isStrict) throw new Malformed(`field line ${JSON.stringify(line.slice(0, 60))}`);
  if (/^[ \t]/.test(line)) {
    const last = fields.at(-1);
    if (reading.fold === 'joined' && last !== undefined) last.value += ` ${line.trim()}`;
    if (reading.fold !== 'own line') return;
  }
  const colon = line.indexOf(':');
  if (colon >= 0) fields.push({ name: line.slice(0, colon).trim(), value: line.slice(colon + 1).trim() });
}

function lineAt(bytes: string, at: number, end: LineEnd): { text: string; next: number } | More {
  const crlf = bytes.indexOf('\r\n', at);
  if (end === 'crlf') return crlf < 0 ? MORE : { text: bytes.slice(at, crlf), next: crlf + 2 };
  const pattern = end === 'lf' ? /\r?\n/g : /\r\n|[\r\n](?=[\s\S])/g;
  pattern.lastIndex = at;
  const found = pattern.exec(bytes);
  return found === null ? MORE : { text: bytes.slice(at, found.index), next: found.index + found[0].length };
}

function named(fields: readonly ReadField[], name: string, reading: Reading): string[] {
  const plain = (s: string) => (reading.hasLooseNames ? s.replace(/[^a-z]/gi, '') : s).toLowerCase();
  return fields.filter((field) => plain(field.name) === plain(name)).map((field) => field.value);
}

/** How many bytes of body follow the head. */
function framingOf(fields: readonly ReadField[], reading: Reading): number | 'chunked' {
  const codings = named(fields, 'transfer-encoding', reading);
  const lengths = named(fields, 'content-length', reading);
  if (reading.isStrict) {
    if (codings.length + lengths.length > 1) throw new Malformed('more than one framing');
    if (codings.length === 1 && codings[0]?.toLowerCase() !== 'chunked') throw new Malformed('a coding but chunked');
    if (lengths.length === 1 && !/^(0|[1-9]\d*)$/.test(lengths[0] as string)) throw new Malformed('a length');
  }
  const isChunked = codings.some((value) => (reading.hasLooseCodings ? /chunk/i : /^chunked$/i).test(value));
  if (isChunked && (reading.wins === 'Transfer-Encoding' || lengths.length === 0)) return 'chunked';
  const length = reading.ofSeveralLengths === 'first' ? lengths[0] : lengths.at(-1);
  if (length === undefined) return 0;
  return reading.hasLooseNumbers ? looseNumber(length, 10) : /^\d+$/.test(length) ? Number(length) : 0;
}

/** The beginning of `text` that is a number; 0x and, for numbers that are decimal, a leading 0 change the base. */
function looseNumber(text: string, base: 10 | 16): number {
  const [, sign = '', digits = ''] = /^\s*([+-]?)((?:0x)?[0-9a-f_]*)/i.exec(text) ?? [];
  const plain = digits.replaceAll('_', '');
  const radix = /^0x/i.test(plain) ? 16 : base === 10 && plain.startsWith('0') ? 8 : base;
  const value = Number.parseInt(plain, radix);
  return Number.isNaN(value) || sign === '-' ? 0 : value;
}

function chunkSize(line: string, reading: Reading): number {
  const size = /^([0-9a-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?$/i.exec(line)?.[1];
  if (size === undefined && reading.isStrict) throw new Malformed(`chunk size ${JSON.stringify(line.slice(0, 40))}`);
  const value = size !== undefined ? Number.parseInt(size, 16) : looseNumber(line, 16);
  return reading.wraps ? value % 2 ** 32 : value;
}

function readChunks(
  bytes: string,
  start: number,
  reading: Reading,
): Pick<ReadRequest, 'body' | 'trailers' | 'end'> | More {
  let body = '';
  for (let at = start; ; ) {
    const line = lineAt(bytes, at, reading.chunkLineEnd);
    if (line === MORE) return MORE;
    const size = chunkSize(cut(line.text, reading), reading);
    at = line.next;
    if (size === 0) return readTrailers(bytes, at, body, reading);
    body += bytes.slice(at, at + size);
    at += size;
    if (at + 2 > bytes.length) return MORE;
    const end =
      /^\r\n/.exec(bytes.slice(at, at + 2)) ?? (reading.isStrict ? null : /^\r?\n?/.exec(bytes.slice(at, at + 2)));
    if (end === null) throw new Malformed('no line end behind a chunk');
    at += reading.skipsChunkEnd ? 2 : end[0].length;
  }
}

function readTrailers(
  bytes: string,
  start: number,
  body: string,
  reading: Reading,
): Pick<ReadRequest, 'body' | 'trailers' | 'end'> | More {
  const trailers: string[] = [];
  const checked: { name: string; value: string }[] = [];
  for (let at = start; ; ) {
    const line = lineAt(bytes, at, reading.lineEnd);
    if (line === MORE) return MORE;
    at = line.next;
    if (line.text === '') return { body, trailers, end: at };
    addField(checked, line.text, reading);
    trailers.push(line.text);
  }
}
