/**
 * Room: report. From measured data to text: terminal tables (`terminal.ts`), Markdown (`markdown.ts`), one HTML page (`html/`, `charts/`).
 * Pure functions, but for `write.ts`. This file is the format of `comparison.json`, what a comparison of methods measured.
 *
 * It imports the engine's files and errors, nothing else of the project. It may not know of devices, models or training.
 */
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { preview, validate } from '../engine/io/files.ts';
import { header, readVersioned, withoutFormat, writeVersioned, type VersionedFormat } from '../engine/io/versioned.ts';
import { contextSchema } from './model-context.ts';

const FORMAT = 'light-peft/comparison';
const VERSION = 1;

const count = z.int().nonnegative();
const amount = z.number().nonnegative();
const measured = z.number().positive();
const share = z.number().min(0).max(1);
const correlation = z.number().min(-1).max(1);

/** Indices of the parts of [0, size) that were kept. */
const indices = z.array(count).refine((kept) => new Set(kept).size === kept.length, 'an index occurs twice');

const planLayer = z
  .object({
    /** Sizes before pruning. */
    heads: count.positive(),
    keptHeads: indices,
    neurons: count.positive(),
    keptNeurons: indices,
  })
  .refine((l) => l.keptHeads.every((i) => i < l.heads), { error: 'an index is not below "heads"', path: ['keptHeads'] })
  .refine((l) => l.keptNeurons.every((i) => i < l.neurons), {
    error: 'an index is not below "neurons"',
    path: ['keptNeurons'],
  });

const planModule = z.object({
  /** Hugging Face module name, e.g. `roberta.encoder.layer.0.attention.self.query`. */
  name: z.string().min(1),
  /** Mean over tokens of ‖Δ‖₂ / ‖h‖₂: what the module adds over what it is added to. */
  importance: amount,
  kept: z.boolean(),
  /** Why it is not there: by its own importance, or because the cut of ranks left it none. */
  lostBy: z.enum(['importance', 'ranks']).optional(),
  /** One entry per rank, in order; first-order Taylor score. */
  ranks: z.array(z.object({ importance: amount, kept: z.boolean() })),
});

const curve = z
  .object({
    phase: z.enum(['estimate', 'train']),
    /** Optimizer step within the phase, from 0. */
    step: z.array(count),
    /** Task loss at that step, without the masks' penalty. */
    loss: z.array(z.number()),
  })
  .refine((c) => c.step.length === c.loss.length, { error: 'not as many values as "step" has', path: ['loss'] });

/** How the kept sets of an estimation settled, where its end was chosen by that. */
const stability = z
  .object({
    /** Steps that it took. */
    steps: count.positive(),
    /** Of a window; mask distance below which windows agree; latest distances that had to; least and most steps. */
    window: count.positive(),
    threshold: amount,
    queue: count.positive(),
    minSteps: count.positive(),
    maxSteps: count.positive(),
    /** Whether they agreed; else it took all steps. */
    reached: z.boolean(),
    /** Normalised Hamming distance to the kept set of the window before, at the end of a window. */
    distances: z.array(
      z.object({ step: count.positive(), heads: share, neurons: share, modules: share, ranks: share }),
    ),
  })
  .refine((s) => s.steps <= s.maxSteps, { error: 'more steps than "maxSteps"', path: ['steps'] });

const timeline = z
  .object({
    /** Kinds of memory, bottom of the stack first. */
    labels: z.array(z.string().min(1)).min(1),
    /** Bytes by kind, one row per dispatch of a training step. */
    points: z.array(z.array(amount)).min(1),
  })
  .refine((t) => t.points.every((p) => p.length === t.labels.length), {
    error: 'a row has not as many values as "labels"',
    path: ['points'],
  });

/** The scores that a run may have; the loss has every run. */
export const METRICS = [
  'average',
  'accuracy',
  'accuracyNorm',
  'exactMatch',
  'f1',
  'f1Macro',
  'f1a',
  'f1m',
  'genderParity',
  'matthews',
  'hasAnsExactMatch',
  'hasAnsF1',
  'noAnsExactMatch',
  'noAnsF1',
  'perplexity',
  'mse',
  'pearson',
  'spearman',
] as const;

export type Metric = (typeof METRICS)[number];

/** Gradients of several tasks before any control, layer by layer, in windows of steps; null where a gradient was 0. */
const gradients = z.object({
  /** Layers with modules by their number in the model, then `head`. */
  layers: z.array(z.string()).min(1),
  /** The first step of each window, from 0. */
  step: z.array(count),
  /** By task, [windows][layers]. */
  magnitude: z.record(z.string(), z.array(z.array(amount))),
  /** By pair of tasks, `a/b`. */
  cosine: z.record(z.string(), z.array(z.array(z.number().nullable()))),
  /** CLNorm's weights of layers. */
  weight: z.array(z.array(amount)).optional(),
});

const runSchema = z.object({
  task: z.string().min(1),
  /** Identifier of the method: `lora`, `light-peft`, `random`, `foundation-only`, `peft-only`, `lora-random-init` … */
  method: z.string().min(1),
  /** The method's name for people. */
  label: z.string().min(1),
  seed: count,
  /**
   * On the evaluation split, whichever the task asks for. Of classes accuracy and F1, fractions, and Matthews' correlation; of answers
   * exact match and F1, fractions, also of the questions with and without an answer; of language models perplexity; of numbers the mean
   * squared error and both correlations.
   */
  metrics: z
    .object({
      average: z.number().optional(),
      accuracy: share.optional(),
      accuracyNorm: share.optional(),
      exactMatch: share.optional(),
      f1: share.optional(),
      f1Macro: share.optional(),
      f1a: share.optional(),
      f1m: share.optional(),
      genderParity: share.optional(),
      matthews: correlation.optional(),
      hasAnsExactMatch: share.optional(),
      hasAnsF1: share.optional(),
      noAnsExactMatch: share.optional(),
      noAnsF1: share.optional(),
      mse: amount.optional(),
      pearson: correlation.optional(),
      spearman: correlation.optional(),
      perplexity: measured.optional(),
      loss: z.number(),
    })
    .refine((metrics) => METRICS.some((name) => metrics[name] !== undefined), {
      error: 'found no score, expected "accuracy", "f1", "perplexity", "mse" or another',
    }),
  /** Parameters of the frozen base, and of its encoder or decoder blocks alone (embeddings and head left out). */
  foundation: z
    .object({ total: count.positive(), left: count, blockTotal: count.positive(), blockLeft: count })
    .refine((f) => f.left <= f.total, { error: 'more parameters left than the total', path: ['left'] })
    .refine((f) => f.blockLeft <= f.blockTotal, { error: 'more parameters left than the total', path: ['blockLeft'] }),
  trainable: z
    .object({ total: count.positive(), left: count })
    .refine((t) => t.left <= t.total, { error: 'more parameters left than the total', path: ['left'] }),
  /** Seconds are wall time of each stage; 0 for a stage the method does not have. */
  speed: z.object({
    trainTokensPerSecond: measured,
    inferExamplesPerSecond: measured,
    estimateSeconds: amount,
    pruneSeconds: amount,
    trainSeconds: amount,
    /** Of a distillation: the teacher's passes over the training examples, and its own fine-tuning where the run had to make it. */
    distillSeconds: amount.optional(),
    teacherSeconds: amount.optional(),
    /** A step of fine-tuning at `trainTokensPerSecond`: without the compilation of its kernels. */
    secondsPerStep: measured.optional(),
  }),
  /** Bytes of GPU buffers; `byKind` splits the training peak. */
  memory: z.object({
    trainPeakBytes: measured,
    inferPeakBytes: measured,
    byKind: z.record(z.string(), amount),
    /** Below which no training step of this model and batch can go. */
    trainBoundBytes: amount.optional(),
  }),
  /** Bytes on disk of what a task adds to the base checkpoint. */
  artefactBytes: measured,
  curves: z.array(curve),
  stability: stability.optional(),
  /** Evaluations during training in their order, the best of them by a figure, and whether the adapter has its weights. */
  evaluations: z
    .array(z.object({ step: count, epoch: amount, metrics: z.record(z.string(), z.number()), isBest: z.boolean() }))
    .optional(),
  best: z.object({ step: count, metric: z.string(), value: z.number(), isLoaded: z.boolean() }).optional(),
  /** Whose scores were learned from beside the labels, their part in the loss, and what scores are divided by. */
  distillation: z
    .object({ teacher: z.enum(['reference', 'estimate', 'adapter']), weight: share, temperature: measured })
    .optional(),
  timeline: timeline.optional(),
  /** Of several tasks: each one's scores; `metrics` has their means. */
  tasks: z.record(z.string(), z.record(z.string(), z.number())).optional(),
  gradients: gradients.optional(),
  /** What was kept; absent where nothing was pruned. */
  plan: z.object({ layers: z.array(planLayer), modules: z.array(planModule) }).optional(),
});

const task = z.object({
  name: z.string().min(1),
  trainExamples: count,
  evalExamples: count,
  /** Settings that bear on speed and memory alone. */
  options: z.record(z.string(), z.union([z.string(), z.boolean()])).optional(),
  /** A plain classifier on the same split, for scale. */
  baseline: z.object({ name: z.string().min(1), accuracy: share, f1: share }).optional(),
});

/** What tells a comparison of this version from other files. */
const head = z.object({ format: z.unknown().optional(), version: z.unknown().optional() });

export const comparisonSchema = z
  .object({
    ...header(FORMAT, VERSION),
    meta: z.object({
      /** ISO 8601 date, with or without time. */
      date: z.string().regex(/^\d{4}-\d\d-\d\d/, 'expected an ISO 8601 date'),
      /** The command that makes this comparison again. */
      command: z.string().min(1),
      /** Description of the WebGPU adapter. */
      adapter: z.string().min(1),
      /** Whether the adapter is a CPU rasteriser. */
      software: z.boolean(),
      model: z.string().min(1),
      fingerprint: z.string().min(1),
      /** What the model's folder says of it. */
      context: contextSchema.optional(),
      /** Versions of the software measured, by name. */
      versions: z.record(z.string(), z.string()),
      /** The `method` that ratios refer to: the same PEFT without pruning. */
      reference: z.string().min(1),
    }),
    tasks: z.array(task).min(1),
    runs: z.array(runSchema).min(1),
  })
  .superRefine((c, context) => {
    const tasks = new Set(c.tasks.map((t) => t.name));
    if (tasks.size < c.tasks.length)
      context.addIssue({ code: 'custom', path: ['tasks'], message: 'two tasks have the same name' });
    const seen = new Set<string>();
    c.runs.forEach((r, i) => {
      const key = JSON.stringify([r.task, r.method, r.seed]);
      if (!tasks.has(r.task))
        context.addIssue({
          code: 'custom',
          path: ['runs', i, 'task'],
          message: `"${r.task}" is not the name of one of "tasks"`,
        });
      if (seen.has(key))
        context.addIssue({
          code: 'custom',
          path: ['runs', i],
          message: 'same task, method and seed as an earlier run',
        });
      seen.add(key);
    });
  });

export type Comparison = z.infer<typeof comparisonSchema>;
export type Run = z.infer<typeof runSchema>;
export type Task = z.infer<typeof task>;
export type Plan = NonNullable<Run['plan']>;
export type StabilityRecord = z.infer<typeof stability>;
export type GradientMaps = z.infer<typeof gradients>;
export type Timeline = z.infer<typeof timeline>;

/** `run.json` in the folder of a method and seed. */
export const runFileSchema = z.object({ ...header('light-peft/run', 1), ...runSchema.shape });

const RUN: VersionedFormat<z.infer<typeof runFileSchema>> = {
  format: 'light-peft/run',
  version: 1,
  schema: runFileSchema,
  unversioned: withoutFormat,
};

/** Writes a run atomically. */
export function writeRun(path: string, run: Run): Promise<void> {
  return writeVersioned(path, RUN, run);
}

/** @throws UserError as `readVersioned` */
export async function readRun(path: string): Promise<Run> {
  const { format: _, version: __, ...run } = await readVersioned(path, RUN);
  return run;
}

/**
 * Checks the parsed JSON of a `comparison.json`.
 * @param file the path shown in errors
 * @throws UserError naming the file, the first key at fault and what was expected
 */
export function parseComparison(value: unknown, file: string): Comparison {
  const found = validate(value, head, file);
  if (found.format !== FORMAT)
    throw new UserError(
      `${file}: key "format": found ${preview(found.format)}, expected "${FORMAT}"; give the comparison.json of a run`,
    );
  if (found.version !== VERSION)
    throw new UserError(
      `${file}: key "version": found ${preview(found.version)}, expected ${VERSION}; run the comparison again or use the program that wrote it`,
    );
  return validate(value, comparisonSchema, file);
}
