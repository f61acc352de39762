/**
 * Walks the schema as data: for suggestions in messages and for the generated documents.
 * Main thread.
 */

import { z } from 'zod';
import { nodeMapSchema, nodeSchema } from './schema.ts';

/** The schema under its optional, nullable and default wrappers; of a node, the form as a map. */
export function bare(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema === nodeSchema) return nodeMapSchema;
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  ) {
    return bare(schema.unwrap());
  }
  return schema;
}

/** The keys of a map with fixed keys; null for anything else. */
export function shapeOf(schema: z.core.$ZodType | null): Record<string, z.core.$ZodType> | null {
  const inner = schema === null ? null : bare(schema);
  return inner instanceof z.ZodObject ? inner.shape : null;
}

/** What every item of a list, or every value of a map with free keys, must be; null for anything else. */
export function itemOf(schema: z.core.$ZodType): z.core.$ZodType | null {
  const inner = bare(schema);
  if (inner instanceof z.ZodArray) return inner.element;
  return inner instanceof z.ZodRecord ? inner.valueType : null;
}

/** The schema at a path below another; null where there is none. */
export function schemaAt(root: z.core.$ZodType, path: readonly PropertyKey[]): z.core.$ZodType | null {
  let schema: z.core.$ZodType | null = root;
  for (const step of path) {
    if (schema === null) return null;
    schema = shapeOf(schema)?.[String(step)] ?? itemOf(schema);
  }
  return schema;
}
