/**
 * The scalar notations of the configuration file: durations, sizes, flags, whole numbers and text.
 * Pure functions from a YAML value to a typed value or to the sentence that says what would be right. Main thread.
 */

/** A parsed value, or what is wrong with it and what would be right. */
export type Parsed<T> = { ok: true; value: T } | { ok: false; message: string };

/** Inclusive bounds, in the unit of the parsed value. */
export interface Range {
  min: number;
  max: number;
}

export const DURATION_PATTERN = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;
export const SIZE_PATTERN = /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB)$/;
/** A request target in origin form, as it stands in a head: RFC 9112, section 3.2.1. */
export const PATH_PATTERN = /^\/[!"$-~]*$/;
/** A method, header or cookie name: RFC 9110, section 5.6.2. */
export const TOKEN_PATTERN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

const DURATION_UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE_UNITS: Record<string, number> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
const SHOWN_CHARS_MAX = 60;

export function parsed<T>(value: T): Parsed<T> {
  return { ok: true, value };
}

export function refused(message: string): { ok: false; message: string } {
  return { ok: false, message };
}

/** A value as a message quotes it, cut to a readable length. */
export function show(raw: unknown): string {
  if (raw === null || raw === undefined) return 'nothing';
  if (Array.isArray(raw)) return 'a list';
  if (typeof raw === 'object') return 'a map';
  const text = typeof raw === 'string' ? JSON.stringify(raw) : String(raw);
  return text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}...` : text;
}

/** A scalar in lower case, to be compared with words; of anything else, nothing. */
export function wordOf(raw: unknown): string {
  // Maps have no prototype: String() of one, or of a list with one in it, throws.
  return ['string', 'number', 'boolean'].includes(typeof raw) ? String(raw).toLowerCase() : '';
}

/** A duration such as `500ms`, `30s`, `10m`, `12h`, `1d`, or 0; range and result in whole milliseconds. */
export function parseDuration(raw: unknown, range: Range): Parsed<number> {
  const units = 'ms, s, m, h or d';
  if (isBareNumber(raw)) {
    return refused(`${raw} has no unit; write ${raw}s for seconds or ${raw}ms for milliseconds (units: ${units})`);
  }
  return parseAmount(
    raw,
    range,
    DURATION_PATTERN,
    DURATION_UNITS,
    `a duration such as 30s (units: ${units})`,
    formatDuration,
  );
}

/** A size such as `512B`, `16KiB`, `1MiB`, `1GiB`, or 0; range and result in bytes. */
export function parseSize(raw: unknown, range: Range): Parsed<number> {
  const units = 'B, KiB, MiB or GiB';
  if (isBareNumber(raw)) {
    return refused(`${raw} has no unit; write ${raw}B for bytes or ${raw}KiB for kibibytes (units: ${units})`);
  }
  return parseAmount(raw, range, SIZE_PATTERN, SIZE_UNITS, `a size such as 16KiB (units: ${units})`, formatSize);
}

/** YAML's true and false, and yes/no, on/off, 1/0 in any letter case, as Perlbal reads them. */
export function parseFlag(raw: unknown): Parsed<boolean> {
  const word = wordOf(raw);
  if (['true', 'yes', 'on', '1'].includes(word)) return parsed(true);
  if (['false', 'no', 'off', '0'].includes(word)) return parsed(false);
  return refused(`${show(raw)} is neither yes nor no; write yes or no (true/false, on/off and 1/0 are read too)`);
}

/** A whole number, also when it is written in quotes. */
export function parseInteger(raw: unknown, range: Range): Parsed<number> {
  const value = typeof raw === 'string' && /^\d{1,15}$/.test(raw) ? Number(raw) : raw;
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
    return refused(`${show(raw)} is not a whole number; write one from ${range.min} to ${range.max}`);
  }
  return inRange(value, raw, range, String);
}

/** Text of bounded length. A number is refused rather than guessed at: YAML would read the salt 007 as 7. */
export function parseText(raw: unknown, chars: Range): Parsed<string> {
  if (typeof raw === 'number' || typeof raw === 'boolean') {
    return refused(`${raw} is a ${typeof raw} to YAML, text is wanted; put it in quotes`);
  }
  if (typeof raw !== 'string') return refused(`${show(raw)} is not text; write text, in quotes if it needs them`);
  if (raw.length < chars.min) return refused(`the text is empty; write at least ${chars.min} character`);
  if (raw.length > chars.max) return refused(`the text has ${raw.length} characters; write at most ${chars.max}`);
  return hasControl(raw) ? refused(`${show(raw)} holds a control character; write printable text`) : parsed(raw);
}

/** One of a few words, in the letter case given. */
export function parseChoice<const T extends string>(raw: unknown, choices: readonly T[]): Parsed<T> {
  const found = choices.find((choice) => choice === raw);
  if (found !== undefined) return parsed(found);
  return refused(`${show(raw)} is not known; write ${orList(choices)}`);
}

/** The shortest exact notation of a duration in milliseconds, for messages and tables. */
export function formatDuration(ms: number): string {
  return formatAmount(ms, DURATION_UNITS, 'ms');
}

/** The shortest exact notation of a size in bytes. */
export function formatSize(bytes: number): string {
  return formatAmount(bytes, SIZE_UNITS, 'B');
}

/** `a`, `a or b`, `a, b or c`. */
export function orList(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** Whether text holds a C0 control character or DEL. */
export function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}

function parseAmount(
  raw: unknown,
  range: Range,
  pattern: RegExp,
  units: Record<string, number>,
  wanted: string,
  format: (amount: number) => string,
): Parsed<number> {
  if (raw === 0 || raw === '0') return inRange(0, raw, range, format);
  const match = typeof raw === 'string' ? pattern.exec(raw) : null;
  if (match === null) return refused(`${show(raw)} is not ${wanted.replace(/ such as.*/, '')}; write ${wanted}`);
  const amount = Number(match[1]) * (units[match[2] ?? ''] ?? Number.NaN);
  return inRange(Math.round(amount), raw, range, format);
}

function inRange(value: number, raw: unknown, range: Range, format: (n: number) => string): Parsed<number> {
  if (value >= range.min && value <= range.max) return parsed(value);
  const side = value < range.min ? 'small' : 'large';
  return refused(`${show(raw)} is too ${side}; write ${format(range.min)} to ${format(range.max)}`);
}

function isBareNumber(raw: unknown): boolean {
  return (typeof raw === 'number' && raw !== 0) || (typeof raw === 'string' && /^[1-9]\d*$/.test(raw));
}

function formatAmount(amount: number, units: Record<string, number>, smallest: string): string {
  if (amount === 0) return '0';
  let text = `${amount}${smallest}`;
  for (const [unit, factor] of Object.entries(units)) if (amount % factor === 0) text = `${amount / factor}${unit}`;
  return text;
}
