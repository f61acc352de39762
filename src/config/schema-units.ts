/**
 * The schema's building blocks: one scalar a notation, each carrying what the generated documents say of it.
 * Main thread. The notations themselves are in units.ts and addresses.ts.
 */

import { z } from 'zod';
import {
  DURATION_PATTERN,
  formatDuration,
  formatSize,
  type Parsed,
  parseChoice,
  parseDuration,
  parseFlag,
  parseInteger,
  parseSize,
  parseText,
  type Range,
  refused,
  SIZE_PATTERN,
} from './units.ts';

/** What the documents say of a key: held as zod metadata, so that schema and documents cannot part ways. */
export interface KeyInfo {
  /** One sentence or two, for config/README.md and for an editor's tooltip. */
  description: string;
  /** Type or unit, as a reader calls it. */
  type: string;
  /** In Markdown, as the table shows it; left out: the key is required. */
  default?: string;
  bounds?: string;
  /** JSON Schema keywords for what may be written. */
  json: Record<string, unknown>;
}

/** A scalar's own part: what it means, and the default when it may be left out. */
interface Meaning<D> {
  description: string;
  /** As the file would write it; null: left out means "none". */
  default?: D;
  /** Overrides the default's text in the documents, for one that is worked out. */
  defaultText?: string;
}

type KeySchema<T> = z.ZodType<T>;

export const keyInfo = z.registry<KeyInfo>();

/** Object keys have no notation of their own: this gives a section its entry in the documents. */
export function section<S extends z.ZodType>(schema: S, info: KeyInfo): S {
  keyInfo.add(schema, info);
  return schema;
}

/** Schemas that read a short form besides a map: that of the map. */
export const longForm = new Map<z.core.$ZodType, z.core.$ZodType>();

/**
 * A map, or in its place the value of `key` alone, which leaves all others at their defaults. Not z.union: its issues would
 * say "neither of these" where one sentence about the form that was meant is wanted.
 */
export function shorthand<S extends z.ZodType>(map: S, key: string, info: KeyInfo): z.ZodType<z.output<S>> {
  const schema = z.unknown().transform((raw, context): z.output<S> => {
    const isMap = typeof raw === 'object' && raw !== null && !Array.isArray(raw);
    const result = map.safeParse(isMap ? raw : { [key]: raw });
    if (result.success) return result.data;
    for (const issue of result.error.issues) {
      context.issues.push({ ...issue, path: isMap ? [...issue.path] : [], input: raw } as z.core.$ZodRawIssue);
    }
    return z.NEVER;
  });
  longForm.set(schema, map);
  return section(schema, info);
}

/** The issue of a required key that is not there; issues.ts makes the sentence. */
export const MISSING = 'missing';
/** What is said of a key with nothing behind its colon. */
export const EMPTY = 'there is no value; write one, or leave the key out';

/** A scalar read by `parse`. */
export function scalar<T>(parse: (raw: unknown) => Parsed<T>, info: KeyInfo, fallback?: unknown): KeySchema<T> {
  const schema = z.unknown().transform((raw, context): T => {
    const result = raw === undefined ? refused(MISSING) : raw === null ? refused(EMPTY) : parse(raw);
    if (result.ok) return result.value;
    context.issues.push({ code: 'custom', message: result.message, input: raw });
    return z.NEVER;
  });
  if (fallback === undefined) return section(schema, info);
  const value = fallback === null ? null : unwrap(parse(fallback));
  return section((schema as z.ZodType<unknown>).default(value), info) as KeySchema<T>;
}

/** Milliseconds. */
export function duration(range: Range, meaning: Meaning<string>): KeySchema<number> {
  const json = { anyOf: [{ type: 'string', pattern: DURATION_PATTERN.source }, { const: 0 }] };
  return scalar(
    (raw) => parseDuration(raw, range),
    infoOf('duration', meaning, json, bounds(range, formatDuration)),
    meaning.default,
  );
}

/** Milliseconds, or null when left out. */
export function optionalDuration(range: Range, meaning: Meaning<null>): KeySchema<number | null> {
  const json = { type: 'string', pattern: DURATION_PATTERN.source };
  return scalar<number | null>(
    (raw) => parseDuration(raw, range),
    infoOf('duration', meaning, json, bounds(range, formatDuration)),
    null,
  );
}

/** Bytes. */
export function size(range: Range, meaning: Meaning<string>): KeySchema<number> {
  const json = { anyOf: [{ type: 'string', pattern: SIZE_PATTERN.source }, { const: 0 }] };
  return scalar(
    (raw) => parseSize(raw, range),
    infoOf('size', meaning, json, bounds(range, formatSize)),
    meaning.default,
  );
}

export function flag(meaning: Meaning<'yes' | 'no'>): KeySchema<boolean> {
  return scalar(parseFlag, infoOf('yes/no', meaning, FLAG_JSON), meaning.default);
}

export function integer(range: Range, meaning: Meaning<string>, unit = 'number'): KeySchema<number> {
  const json = { type: 'integer', minimum: range.min, maximum: range.max };
  return scalar((raw) => parseInteger(raw, range), infoOf(unit, meaning, json, bounds(range, String)), meaning.default);
}

export function text(chars: Range, meaning: Meaning<string>): KeySchema<string> {
  const json = { type: 'string', minLength: chars.min, maxLength: chars.max };
  const limit = `${bounds(chars, String)} characters`;
  return scalar((raw) => parseText(raw, chars), infoOf('text', meaning, json, limit), meaning.default);
}

export function choice<const T extends string>(choices: readonly T[], meaning: Meaning<T>): KeySchema<T> {
  const info = infoOf('one of', meaning, { enum: choices }, choices.join(', '));
  return scalar((raw) => parseChoice(raw, choices), info, meaning.default);
}

/** Text with a notation of its own, such as an address. */
export function notation<T>(
  type: string,
  parse: (raw: unknown) => Parsed<T>,
  meaning: Meaning<string | null>,
  limit?: string,
): KeySchema<T> {
  return scalar(parse, infoOf(type, meaning, { type: 'string' }, limit), meaning.default);
}

/** A path; files.ts makes it absolute and checks that it can be read. */
export function path(meaning: Meaning<null>): KeySchema<string> {
  return notation('path', (raw) => parseText(raw, { min: 1, max: 4096 }), meaning);
}

/** A path, or null when left out. */
export function optionalPath(meaning: Meaning<null>): KeySchema<string | null> {
  return notation<string | null>('path', (raw) => parseText(raw, { min: 1, max: 4096 }), meaning);
}

/** What an editor may accept for a flag. */
export const FLAG_JSON = {
  anyOf: [
    { type: 'boolean' },
    { enum: [0, 1] },
    {
      type: 'string',
      pattern: '^([Yy][Ee][Ss]|[Nn][Oo]|[Oo][Nn]|[Oo][Ff][Ff]|[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[01])$',
    },
  ],
};

function infoOf<D>(type: string, meaning: Meaning<D>, json: Record<string, unknown>, limit?: string): KeyInfo {
  const written =
    typeof meaning.default === 'string' && meaning.defaultText === undefined ? meaning.default : undefined;
  const fallback = meaning.defaultText ?? (meaning.default === null ? 'none' : written);
  const value = json.type === 'integer' ? Number(written) : written;
  return {
    description: meaning.description,
    type,
    json: written === undefined ? json : { ...json, default: value },
    ...(fallback === undefined ? {} : { default: written === undefined ? fallback : `\`${written}\`` }),
    ...(limit === undefined ? {} : { bounds: limit }),
  };
}

function bounds(range: Range, format: (n: number) => string): string {
  return `${format(range.min)} to ${format(range.max)}`;
}

/** A default that its own key would refuse is a fault of ours. */
function unwrap<T>(result: Parsed<T>): T {
  if (!result.ok) throw new Error(`a default breaks its own key's rule: ${result.message}`);
  return result.value;
}
