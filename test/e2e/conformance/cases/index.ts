/** All cases of the conformance suite, in the order of its page. */

import type { Case } from '../case.ts';
import { CHUNK_EXTENSIONS, CHUNK_SIZES, TRAILERS } from './chunks.ts';
import { CONNECTION, EXPECT, LIMITS, PIPELINING, TE, UPGRADE } from './connection.ts';
import { FIELDS, HOST } from './fields.ts';
import { CONTENT_LENGTH, IGNORED_BODIES, SMUGGLING, TRANSFER_ENCODING } from './framing.ts';
import { MESSAGE_SYNTAX } from './message-syntax.ts';
import { ABSOLUTE_FORM, METHODS, TARGETS, VERSIONS } from './request-line.ts';

export const CASES: readonly Case[] = [
  MESSAGE_SYNTAX,
  METHODS,
  TARGETS,
  ABSOLUTE_FORM,
  VERSIONS,
  FIELDS,
  HOST,
  CONTENT_LENGTH,
  TRANSFER_ENCODING,
  SMUGGLING,
  IGNORED_BODIES,
  CHUNK_SIZES,
  CHUNK_EXTENSIONS,
  TRAILERS,
  CONNECTION,
  TE,
  PIPELINING,
  EXPECT,
  UPGRADE,
  LIMITS,
].flat();
