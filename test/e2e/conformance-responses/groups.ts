/** All groups of the suite, in the order of docs/conformance-responses.md. */

import { beforeHead, earlyResponses, truncations } from './broken.ts';
import { behindResponses, onIdle, withoutBody } from './extra-bytes.ts';
import { fieldLines, hopByHop } from './fields.ts';
import { chunkedBodies, lengthAndCoding, trailerFields } from './framing.ts';
import { interimResponses, protocols } from './interims.ts';
import type { CaseGroup } from './response-case.ts';
import { statusLines } from './status-lines.ts';

export const GROUPS: readonly CaseGroup[] = [
  statusLines,
  fieldLines,
  lengthAndCoding,
  chunkedBodies,
  trailerFields,
  hopByHop,
  behindResponses,
  onIdle,
  withoutBody,
  interimResponses,
  protocols,
  earlyResponses,
  beforeHead,
  truncations,
];
