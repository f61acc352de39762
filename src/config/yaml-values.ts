/**
 * From YAML nodes to plain values, and back from a path to the text's offset.
 * Our own pass, because yaml's toJS gives cycles as cycles, throws without a place, and its check for duplicate keys
 * is quadratic: 8 s for a map of 20,000 keys. Main thread.
 */

import { isAlias, isMap, isScalar, isSeq, type Pair, type ParsedNode, type YAMLMap } from 'yaml';
import type { KeyPath, YamlMap } from './source.ts';
import { show } from './units.ts';

/** Reports a fault at an offset of the text. */
type Report = (offset: number, message: string) => void;

interface Anchored {
  node: ParsedNode;
  value: unknown;
  /** Values in it, aliases expanded; null while it is being read: an alias to it from within is a cycle. */
  size: number | null;
}

const DEPTH_MAX = 64;
/** What aliases may add in all: against the "billion laughs", yet ample for a shared list of nodes. */
const ALIASED_VALUES_MAX = 1_000_000;

/** Reads one document. */
export class YamlValues {
  readonly #report: Report;
  readonly #anchors = new Map<string, Anchored>();
  readonly #aliases = new Map<unknown, ParsedNode>();
  readonly #keys = new Map<unknown, Map<string, Pair<ParsedNode, ParsedNode | null>>>();
  #damaged = false;
  #count = 0;
  #aliased = 0;

  constructor(report: Report) {
    this.#report = report;
  }

  /** Some value could not be read and came out as undefined. */
  get damaged(): boolean {
    return this.#damaged;
  }

  /** The value of a node. Maps have no prototype. */
  convert(node: ParsedNode | null, depth = 0): unknown {
    if (node === null) return null;
    this.#count += 1;
    if (depth > DEPTH_MAX) {
      return this.#fail(startOf(node) ?? 0, `this is nested more than ${DEPTH_MAX} levels deep; no key needs that`);
    }
    if (isAlias(node)) return this.#follow(node.source, node);
    const anchored: Anchored | null = node.anchor === undefined ? null : { node, value: null, size: null };
    if (anchored !== null) this.#anchors.set(node.anchor!, anchored);
    const before = this.#count;
    const value = this.#plain(node, depth);
    if (anchored !== null) Object.assign(anchored, { value, size: this.#count - before + 1 });
    return value;
  }

  /** The offset of the value at a path, or of the nearest thing around it. */
  offsetOf(root: ParsedNode | null, path: KeyPath): number {
    let offset = root?.range[0] ?? 0;
    let node: ParsedNode | null = root;
    for (const step of path) {
      const container: ParsedNode | null = node !== null && isAlias(node) ? (this.#aliases.get(node) ?? null) : node;
      const pair: Pair<ParsedNode, ParsedNode | null> | undefined = isMap(container)
        ? this.#keys.get(container)?.get(String(step))
        : undefined;
      const next: ParsedNode | null = isSeq(container)
        ? ((container.items[Number(step)] as ParsedNode | undefined) ?? null)
        : (pair?.value ?? null);
      if (next === null && pair === undefined) return offset;
      offset = startOf(isEmpty(next) && pair !== undefined ? pair.key : next) ?? offset;
      node = next;
    }
    return offset;
  }

  /** The offset of the key that a path ends in, or of the item. */
  offsetOfKey(root: ParsedNode | null, path: KeyPath): number {
    let node: ParsedNode | null = root;
    let parent: ParsedNode | null = null;
    for (const step of path) {
      parent = node !== null && isAlias(node) ? (this.#aliases.get(node) ?? null) : node;
      if (isSeq(parent)) node = (parent.items[Number(step)] as ParsedNode | undefined) ?? null;
      else node = this.#keys.get(parent)?.get(String(step))?.value ?? null;
    }
    const key = this.#keys.get(parent)?.get(String(path.at(-1)))?.key;
    return startOf(key) ?? this.offsetOf(root, path);
  }

  #plain(node: ParsedNode, depth: number): unknown {
    if (isScalar(node)) return node.value;
    if (isSeq(node)) return node.items.map((item) => this.convert(item as ParsedNode | null, depth + 1));
    return isMap(node) ? this.#map(node as YAMLMap.Parsed, depth) : null;
  }

  #map(node: YAMLMap.Parsed, depth: number): YamlMap {
    const map: YamlMap = Object.create(null) as YamlMap;
    const pairs = new Map<string, Pair<ParsedNode, ParsedNode | null>>();
    this.#keys.set(node, pairs);
    for (const pair of node.items) {
      const key = this.#key(pair.key);
      if (key === null) continue;
      if (pairs.has(key)) {
        this.#report(startOf(pair.key) ?? 0, `${show(key)} stands here a second time; keep one of the two`);
        this.convert(pair.value, depth + 1);
        continue;
      }
      pairs.set(key, pair);
      map[key] = this.convert(pair.value, depth + 1);
    }
    return map;
  }

  #key(node: ParsedNode | null): string | null {
    if (isScalar(node) && node.value !== null && node.value !== '__proto__') return String(node.source ?? node.value);
    this.#report(startOf(node) ?? 0, 'this cannot be a key; write a plain word before the colon');
    return null;
  }

  #follow(name: string, alias: ParsedNode): unknown {
    const target = this.#anchors.get(name);
    const offset = alias.range[0];
    if (target === undefined) {
      return this.#fail(offset, `*${name} refers to no anchor before it; define &${name} above, or write "*${name}"`);
    }
    if (target.size === null) {
      return this.#fail(offset, `*${name} refers to what it stands in; write the value out`);
    }
    this.#aliases.set(alias, target.node);
    this.#count += target.size;
    this.#aliased += target.size;
    if (this.#aliased <= ALIASED_VALUES_MAX) return target.value;
    this.#damaged = true;
    if (this.#aliased - target.size > ALIASED_VALUES_MAX) return undefined;
    return this.#fail(offset, `aliases expand to more than ${ALIASED_VALUES_MAX} values; write fewer of them`);
  }

  #fail(offset: number, message: string): undefined {
    this.#damaged = true;
    this.#report(offset, message);
  }
}

/** A value that was left out (`pool:` and nothing more) has no place of its own worth pointing at. */
function isEmpty(node: ParsedNode | null): boolean {
  return node === null || (isScalar(node) && node.value === null && node.range?.[0] === node.range?.[1]);
}

/** A node that a tag has made (`!!omap [1]`) stands nowhere, whatever its type says. */
function startOf(node: ParsedNode | null | undefined): number | undefined {
  return node?.range?.[0];
}
