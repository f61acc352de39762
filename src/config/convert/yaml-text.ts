/**
 * Writes a configuration as YAML with comments, in the order given. Pure; main thread of a command.
 */

import { Document, Pair, Scalar, YAMLMap, YAMLSeq } from 'yaml';

/** Flags are written as the words yes and no. */
export type Value = string | number | Entry[] | Item[];

/** A key of a map. */
export interface Entry {
  readonly key: string;
  readonly value: Value;
  /** Lines of comment above. */
  readonly above?: readonly string[];
  /** A comment behind a value that is no map or list. */
  readonly beside?: string;
}

/** An element of a list; told from an Entry by having no key. */
export interface Item {
  readonly item: string | number | Entry[];
  readonly above?: readonly string[];
  readonly beside?: string;
}

/** A top-level key; one without a value is a comment alone. */
export interface Section {
  readonly key?: string;
  readonly value?: Value;
  readonly above?: readonly string[];
}

/** The file's text, which ends in a newline. */
export function writeYaml(sections: readonly Section[]): string {
  return sections.map(writeSection).join('\n');
}

/** `yes` or `no`. */
export function yesNo(value: boolean): 'yes' | 'no' {
  return value ? 'yes' : 'no';
}

function writeSection({ key, value, above = [] }: Section): string {
  const comment = above.map((line) => `${`# ${printable(line)}`.trimEnd()}\n`).join('');
  if (key === undefined || value === undefined) return comment;
  const document = new Document(new YAMLMap());
  (document.contents as YAMLMap).items.push(pairOf({ key, value }));
  return comment + document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

function pairOf({ key, value, above, beside }: Entry): Pair<Scalar, unknown> {
  const name = new Scalar(key);
  if (above !== undefined) name.commentBefore = commentOf(above);
  return new Pair(name, nodeOf(value, beside));
}

function nodeOf(value: Value, beside?: string): Scalar | YAMLMap | YAMLSeq {
  if (!Array.isArray(value)) return scalarOf(value, beside);
  const isList = value.length === 0 || 'item' in (value[0] as Entry | Item);
  const node = isList ? new YAMLSeq() : new YAMLMap();
  if (isList) for (const item of value as Item[]) node.items.push(itemOf(item) as never);
  else for (const entry of value as Entry[]) node.items.push(pairOf(entry) as never);
  return node;
}

function itemOf({ item, above, beside }: Item): Scalar | YAMLMap | YAMLSeq {
  const node = nodeOf(item, beside);
  if (above !== undefined) node.commentBefore = commentOf(above);
  return node;
}

function scalarOf(value: string | number, beside?: string): Scalar {
  const scalar = new Scalar(value);
  if (beside !== undefined) scalar.comment = ` ${printable(beside)}`;
  return scalar;
}

function commentOf(lines: readonly string[]): string {
  return lines.map((line) => ` ${printable(line)}`).join('\n');
}

/** A comment is one line, whatever stands in the names that it quotes. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, '?');
}
