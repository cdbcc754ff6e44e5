/** Room: experiments. The project's own file formats with their JSON Schemas, as published in `docs/schemas/`. */
import { z } from 'zod';
import { jsonText } from '../engine/io/files.ts';
import { planSchema } from '../pruning/plan.ts';
import { recordsSchema } from '../pruning/scores-file.ts';
import { labelsSchema } from '../peft-model/label-file.ts';
import { taskHeadsSchema } from '../peft-model/task-heads.ts';
import { auditSchema } from '../report/audit/schema.ts';
import { contextFileSchema } from '../report/model-context.ts';
import { comparisonSchema, runFileSchema } from '../report/schema.ts';
import { decisionSchema, finalSchema, sweepSchema, trialSchema } from '../report/sweep/schema.ts';
import { trainSchema } from '../train/result-file.ts';
import { identitySchema } from './identity.ts';

/** A format; a file of it carries `format` and `version`, unless it is of lines. */
export interface Format {
  readonly name: string;
  readonly title: string;
  readonly schema: z.ZodType;
}

export const FORMATS: readonly Format[] = [
  { name: 'plan', title: 'plan.json: what stays of a base checkpoint and of its PEFT modules', schema: planSchema },
  { name: 'records', title: 'records.json: what the estimation measured', schema: recordsSchema },
  { name: 'comparison', title: 'comparison.json: what a comparison of methods measured', schema: comparisonSchema },
  { name: 'run', title: 'run.json: one run of a comparison', schema: runFileSchema },
  { name: 'identity', title: 'identity.json: what the numbers of a run.json depend on', schema: identitySchema },
  { name: 'audit', title: 'audit.json: what an audit of planted triggers measured', schema: auditSchema },
  { name: 'sweep', title: 'sweep.json: what a sweep is', schema: sweepSchema },
  {
    name: 'sweep-trial',
    title: 'A line of trials.jsonl: a trial of a sweep that came to its end',
    schema: trialSchema,
  },
  { name: 'sweep-decision', title: 'A line of decisions.jsonl: what a scheduler of trials decided', schema: decisionSchema }, // prettier-ignore
  { name: 'sweep-final', title: 'final.json: chosen trials on the test split', schema: finalSchema },
  { name: 'train', title: 'train.json: how a fine-tuning went', schema: trainSchema },
  { name: 'task-heads', title: 'task_heads.json: the heads of several tasks', schema: taskHeadsSchema },
  { name: 'context', title: 'context.json: what stands beside the figures of a base', schema: contextFileSchema },
  { name: 'labels', title: 'labels.json: class names in the order of the outputs', schema: labelsSchema },
];

/** The JSON Schema (draft 2020-12) of a format. What it cannot say, such as ascending lists, docs/formats.md does. */
export function schemaText({ title, schema }: Format): string {
  return jsonText({ title, ...z.toJSONSchema(schema, { io: 'input' }) });
}
