/** Room: train. The project's own file formats with their JSON Schemas, as published in `docs/schemas/`. */
import { z } from 'zod';
import { jsonText } from '../engine/io/files.ts';
import { planSchema } from '../pruning/plan.ts';
import { recordsSchema } from '../pruning/records.ts';
import { comparisonSchema, runSchema } from './report/schema.ts';

/** A format; a file of it carries `format` and `version`, but `run.json`, which is a part of a comparison. */
export interface Format {
  readonly name: string;
  readonly title: string;
  readonly schema: z.ZodType;
}

export const FORMATS: readonly Format[] = [
  { name: 'plan', title: 'plan.json: what stays of a base checkpoint and of its PEFT modules', schema: planSchema },
  { name: 'records', title: 'records.json: what the estimation measured', schema: recordsSchema },
  { name: 'comparison', title: 'comparison.json: what a comparison of methods measured', schema: comparisonSchema },
  { name: 'run', title: 'run.json: one run of a comparison', schema: runSchema },
];

/** The JSON Schema (draft 2020-12) of a format. What it cannot say, such as ascending lists, docs/formats.md does. */
export function schemaText({ title, schema }: Format): string {
  return jsonText({ title, ...z.toJSONSchema(schema, { io: 'input' }) });
}
