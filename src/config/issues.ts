/**
 * From zod's issues to diagnostics: the place in the file, and a sentence that says what would be right.
 * Main thread.
 */

import leven from 'leven';
import type { z } from 'zod';
import type { DiagnosticList } from './diagnostics.ts';
import { EMPTY, keyInfo, MISSING } from './schema-units.ts';
import { schemaAt, shapeOf } from './schema-walk.ts';
import { asMap, type KeyPath, type YamlSource } from './source.ts';
import { orList, show } from './units.ts';

const SHOWN_NAMES_MAX = 8;
const KNOWN_KEYS_MAX = 12;

/** Where a schema was applied: the part of a file below `base`. */
export interface Site {
  source: YamlSource;
  base: KeyPath;
  schema: z.ZodType;
}

/** Reports every issue. What is missing from a damaged file is not reported: it may stand in the damaged part. */
export function reportIssues(issues: readonly z.core.$ZodIssue[], site: Site, diagnostics: DiagnosticList): void {
  for (const issue of issues) {
    const path = [...site.base, ...issue.path];
    const { source } = site;
    if (issue.code === 'unrecognized_keys') {
      const known = Object.keys(shapeOf(schemaAt(site.schema, issue.path)) ?? {});
      for (const key of issue.keys) {
        diagnostics.error(source.locateKey([...path, key]), `unknown key ${show(key)}; ${adviseKey(key, known)}`);
      }
    } else if (source.damaged && (valueAt(source, path) ?? null) === null) {
      // Nothing readable stands there: see above.
    } else if (isMissing(issue, valueAt(source, path))) {
      diagnostics.error(source.locateKey(path.slice(0, -1)), missingMessage(issue, site));
    } else if (issue.code === 'invalid_key') {
      const advice = 'write letters, digits, "_", "." and "-", beginning with a letter or digit, at most 64 characters';
      diagnostics.error(source.locateKey(path), `${show(path.at(-1))} cannot be a name; ${advice}`);
    } else {
      diagnostics.error(source.locate(path), `${subject(path)}${describe(issue, valueAt(source, path))}`);
    }
  }
}

/** `did you mean NAME?` where one of the names is close, else the names themselves. */
export function suggestName(name: string, names: readonly string[], none: string): string {
  const near = nearest(name, names);
  if (near !== null) return `did you mean ${show(near)}?`;
  if (names.length === 0) return none;
  if (names.length <= SHOWN_NAMES_MAX) return `write ${orList(names)}`;
  return `write one of ${names.slice(0, SHOWN_NAMES_MAX).join(', ')}, ... (${names.length} in all)`;
}

/** The key a message is about, as its beginning: `weight: `. */
export function subject(path: KeyPath): string {
  const key = path.findLast((step) => typeof step === 'string');
  return key === undefined ? '' : `${String(key)}: `;
}

function describe(issue: z.core.$ZodIssue, raw: unknown): string {
  if (issue.code === 'custom') return issue.message;
  if (issue.code === 'too_big') return `the list is too long; write at most ${issue.maximum} items`;
  if (issue.code === 'too_small') return describeShort(Number(issue.minimum));
  if (issue.code !== 'invalid_type') return issue.message;
  if (raw === null) return EMPTY;
  const wanted = issue.expected === 'array' ? 'a list: one "- item" a line' : 'a map: one "key: value" a line';
  return `${show(raw)} stands where a ${issue.expected === 'array' ? 'list' : 'map'} is wanted; write ${wanted}`;
}

function describeShort(minimum: number): string {
  return minimum === 1
    ? 'the list is empty; write at least one item'
    : `the list is too short; write at least ${minimum} items`;
}

function isMissing(issue: z.core.$ZodIssue, raw: unknown): boolean {
  return (issue.code === 'custom' && issue.message === MISSING) || (issue.code === 'invalid_type' && raw === undefined);
}

function missingMessage(issue: z.core.$ZodIssue, site: Site): string {
  const schema = schemaAt(site.schema, issue.path);
  const meaning = schema === null ? undefined : keyInfo.get(schema)?.description;
  const text = `the key ${show(String(issue.path.at(-1)))} is missing; add it`;
  return meaning === undefined ? text : `${text}: ${meaning}`;
}

function adviseKey(key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  if (near !== null) return `did you mean ${show(near)}?`;
  return known.length > KNOWN_KEYS_MAX ? 'config/README.md lists the known ones' : `known here: ${known.join(', ')}`;
}

function nearest(name: string, names: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  const wanted = name.toLowerCase().replaceAll('-', '_');
  for (const candidate of names) {
    const distance = leven(wanted, candidate.toLowerCase(), { maxDistance: bestDistance });
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function valueAt(source: YamlSource, path: KeyPath): unknown {
  let value: unknown = source.value;
  for (const step of path) {
    value = Array.isArray(value) ? value[Number(step)] : asMap(value)?.[String(step)];
  }
  return value;
}
