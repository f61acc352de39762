/** The usual ways to write a proxy on Node, each a program of its own in ways/, with kept connections on both sides. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { WaySetting } from '../ways/way.ts';
import type { Subject } from './subject.ts';

/** `file` in ways/; `packageName` null: nothing but Node. */
export function nodeWay(name: string, file: string, packageName: string | null): Subject {
  const program = fileURLToPath(new URL(`../ways/${file}`, import.meta.url));
  return {
    name,
    affinity: 'cookie',
    version: () => (packageName === null ? process.version : versionOf(packageName)),
    prepare: ({ port, isTls, certificateFile, keyFile, nodes }) => {
      const tls = isTls ? { certificateFile, keyFile } : null;
      const setting: WaySetting = { port, tls, nodes };
      return { program: process.execPath, args: [program, JSON.stringify(setting)] };
    },
  };
}

function versionOf(packageName: string): string | null {
  try {
    const file = new URL(`../../node_modules/${packageName}/package.json`, import.meta.url);
    return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  } catch {
    return null;
  }
}
