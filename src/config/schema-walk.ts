/**
 * Walks the schema as data: for suggestions in messages and for the generated documents.
 * Main thread.
 */

import { z } from 'zod';
import { longForm } from './schema-units.ts';

/** The schema under its optional, nullable and default wrappers. */
export function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  ) {
    return unwrapped(schema.unwrap());
  }
  return schema;
}

/** That; of what has a short form, the map. */
export function bare(schema: z.core.$ZodType): z.core.$ZodType {
  const inner = unwrapped(schema);
  return longForm.get(inner) ?? inner;
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
