/**
 * node:http without what an import of it brings along: for that Node looks at all it exports, and so loads fetch() and HTTP/2
 * as well, 36 ms in place of 4 (Node 26). Any thread.
 */

import type http from 'node:http';

export function nodeHttp(): typeof http {
  return process.getBuiltinModule('node:http');
}
