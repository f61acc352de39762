/**
 * `npm run generate`: writes config/README.md and config/stekbal.schema.json from the schema.
 * Main thread.
 */

import { writeFileSync } from 'node:fs';
import { renderJsonSchema, renderReadme } from './documents.ts';

/** The generated files, relative to the repository. */
const folder = new URL('../../config/', import.meta.url);

writeFileSync(new URL('README.md', folder), renderReadme());
writeFileSync(new URL('stekbal.schema.json', folder), renderJsonSchema());
