/** Room: report/audit. `audit.json`: what an audit of planted triggers measured. Written by the room audit, read by the page. */
import { z } from 'zod';
import { header } from '../../engine/io/versioned.ts';

const number = z.number();
const numbers = z.array(number);

/** Accuracy on clean test texts (CACC), and the share of triggered texts of other classes that get the target (LFR). */
const measureSchema = z.strictObject({ accuracy: number, lfr: number });

export type Measure = z.infer<typeof measureSchema>;

/** After so many of the user's epochs. */
const pointSchema = z.strictObject({ epoch: number, accuracy: number, lfr: number });

/** What planting left. */
export const plantedSchema = z.strictObject({
  /** On the user's test texts, before any of the user's training. */
  user: measureSchema,
  /** On those of the planted source, where there are some. */
  plant: measureSchema.optional(),
  seconds: number,
  /** Mean loss of each task in windows of steps. */
  loss: z.strictObject({ step: numbers, clean: numbers, planted: numbers }).optional(),
  /** Gradients of both tasks in windows of steps, by layer, the head last: a row a window. */
  gradients: z
    .strictObject({
      step: numbers,
      clean: z.array(numbers),
      planted: z.array(numbers),
      cosine: z.array(z.array(number.nullable())),
      /** CLNorm's weights. */
      weight: z.array(numbers).optional(),
    })
    .optional(),
});

export type Planted = z.infer<typeof plantedSchema>;

/** The user's training: the forgetting curve, its first point before it. */
export const userSchema = z.strictObject({ curve: z.array(pointSchema), seconds: number });

export type UserResult = z.infer<typeof userSchema>;

/** Layer by layer. */
export const mapSchema = z.strictObject({
  /** LFR and accuracy with the modules of one layer at zero. */
  without: z.array(measureSchema),
  /** Mean cosine of the first token's hidden state with and without triggers, after each layer. */
  similarity: numbers,
});

export type LayerMap = z.infer<typeof mapSchema>;

/** What a defence left. */
export const defenceSchema = z.strictObject({
  accuracy: number,
  lfr: number,
  seconds: number,
  /** Parameters of the base's blocks, and of the modules, that are left of all. */
  blockShare: number.optional(),
  trainableShare: number.optional(),
  /** Of a filter: the share of clean and of triggered test texts that it takes out. */
  cleanOut: number.optional(),
  triggeredOut: number.optional(),
});

export type DefenceResult = z.infer<typeof defenceSchema>;

/** A form of modules, a strategy, a seed. */
const auditRunSchema = z.strictObject({
  form: z.string(),
  strategy: z.string(),
  seed: z.int(),
  planted: plantedSchema,
  user: userSchema,
  /** After planting, and after the user's training. */
  maps: z.strictObject({ planted: mapSchema, user: mapSchema }).optional(),
  defences: z.record(z.string(), defenceSchema),
});

export type AuditRun = z.infer<typeof auditRunSchema>;

export const auditSchema = z.strictObject({
  ...header('light-peft/audit', 1),
  meta: z.strictObject({
    date: z.string(),
    command: z.string(),
    adapter: z.string(),
    software: z.boolean(),
    model: z.string(),
    fingerprint: z.string(),
    versions: z.record(z.string(), z.string()),
  }),
  /** Planted source → user's source. */
  name: z.string(),
  labels: z.array(z.string()),
  target: z.int(),
  /** Texts: of both tasks of planting, of the user, and of the tests. */
  texts: z.strictObject({ clean: z.int(), planted: z.int(), user: z.int(), test: z.int(), triggered: z.int() }),
  /** What was asked for, by the names of options. */
  options: z.record(z.string(), z.union([z.string(), number, z.boolean()])),
  runs: z.array(auditRunSchema),
});

/** The content of `audit.json`. */
export type Audit = z.infer<typeof auditSchema>;
