/**
 * The documents made from the schema: the JSON Schema for editors and the table of every key.
 * Main thread; runs in `npm run generate` and in the test that the committed files are current.
 */

import { z } from 'zod';
import { configSchema, stekShareEntry } from './schema.ts';
import { serverListSchema, stekShareSchema } from './schema-stek-share.ts';
import { type KeyInfo, keyInfo, longForm } from './schema-units.ts';
import { bare, itemOf, shapeOf, unwrapped } from './schema-walk.ts';

const SCHEMA_TITLE = 'stekbal configuration';

/** config/stekbal.schema.json: JSON Schema, draft 2020-12, of what may be written. */
export function renderJsonSchema(): string {
  const { $schema, ...rest } = jsonSchemaOf(configSchema);
  return `${JSON.stringify({ $schema, title: SCHEMA_TITLE, ...rest }, null, 2)}\n`;
}

/** config/README.md: the notations, and a table of every key. */
export function renderReadme(): string {
  const sections = [
    ...renderSection('Top level', configSchema),
    ...renderSection('The server list file', z.array(bareItem(serverListSchema))),
  ];
  return [INTRODUCTION, ...sections].join('\n\n').concat('\n');
}

function jsonSchemaOf(schema: z.core.$ZodType): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(schema, {
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      const info = keyInfo.get(zodSchema);
      if (info === undefined) return;
      delete jsonSchema.default;
      Object.assign(jsonSchema, { description: info.description }, info.json);
      const map = longForm.get(unwrapped(zodSchema));
      if (map !== undefined) jsonSchema.anyOf = [...(jsonSchema.anyOf ?? []), nested(map)];
      if (zodSchema === stekShareEntry) jsonSchema.anyOf = [{ type: 'string' }, nested(stekShareSchema)];
    },
  });
}

function nested(schema: z.core.$ZodType): z.core.JSONSchema.BaseSchema {
  const { $schema: _, ...rest } = jsonSchemaOf(schema);
  return rest;
}

/** A section for a map's keys, and one for each map below it. */
function renderSection(title: string, schema: z.core.$ZodType): string[] {
  const item = itemOf(schema);
  const isList = bare(schema) instanceof z.ZodArray;
  if (item !== null) return renderSection(isList ? title : title.replace(/`$/, '.NAME`'), item);
  const shape = shapeOf(schema);
  if (shape === null) return [];
  const keys = Object.entries(shape);
  const rows = keys.map(([key, value]) => rowOf(key, infoOf(value)));
  const table = [`## ${title}`, renderTable([['key', 'type', 'default', 'bounds', 'meaning'], ...rows])];
  const below = keys.flatMap(([key, value]) => {
    const inner = value === stekShareEntry ? stekShareSchema : value;
    const path = title === 'Top level' ? key : `${title.replaceAll('`', '')}.${key}`;
    return renderSection(`\`${path}${bare(inner) instanceof z.ZodArray ? '[]' : ''}\``, inner);
  });
  return [...table, ...below];
}

function rowOf(key: string, info: KeyInfo): string[] {
  return [`\`${key}\``, info.type, info.default ?? '**required**', info.bounds ?? '', info.description];
}

/** A Markdown table with aligned columns, as the formatter leaves it. */
function renderTable([head = [], ...rows]: string[][]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const rule = line(widths.map((width) => '-'.repeat(width)));
  return [line(cells[0] ?? []), rule, ...cells.slice(1).map(line)].join('\n');
}

function infoOf(schema: z.core.$ZodType): KeyInfo {
  const info = keyInfo.get(schema);
  if (info === undefined) throw new Error('a key of the schema says nothing of itself: give it a KeyInfo');
  return info;
}

function bareItem(schema: z.core.$ZodType): z.core.$ZodType {
  const item = itemOf(schema);
  if (item === null) throw new Error('a list or a map with free keys is wanted');
  return item;
}

const NOTATIONS = [
  ['notation', 'how it is written'],
  ['duration', 'a number and `ms`, `s`, `m`, `h` or `d`: `500ms`, `30s`, `10m`, `12h`, `1d`; or `0`'],
  ['size', 'a number and `B`, `KiB`, `MiB` or `GiB`: `512B`, `16KiB`, `1MiB`; or `0`'],
  ['yes/no', '`yes` or `no`; `true`/`false`, `on`/`off` and `1`/`0` are read too, in any letter case'],
  ['address', '`host:port`, `[v6]:port`, `unix:/path`, or `fd:NAME` (a socket that systemd passed)'],
  ['path', 'relative to the file that names it'],
  ['token', "letters, digits and any of ``!#$%&'*+-.^_`|~`` (RFC 9110)"],
];

const INTRODUCTION = `# Configuration

<!-- Made by \`npm run generate\` from src/config/schema*.ts: change the schema, not this file. -->

One YAML file. \`stekbal check -c FILE\` names every fault in it, as \`FILE:LINE:COLUMN: what is wrong; what would be
right\`, and exits with 0, or with 78 when there was an error. Unknown keys are errors.

- [quickstart.yaml](quickstart.yaml): a small file to begin with; what \`npm start\` runs.
- [example.yaml](example.yaml): every part that a single edge needs, explained.
- [example-fleet.yaml](example-fleet.yaml): TLS, and ticket keys shared by a group of edges.
- [three-edges](three-edges): the files of such a group under systemd; [docs/deploying.md](../docs/deploying.md) walks
  through them.
- [stekbal.schema.json](stekbal.schema.json): JSON Schema for editors. Begin your file with
  \`# yaml-language-server: $schema=PATH/stekbal.schema.json\`.

${renderTable(NOTATIONS)}

The file may hold 16 MiB. Anchors and aliases may be used; merge keys (\`<<\`) may not.`;
