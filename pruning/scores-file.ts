/** Room: pruning. `records.json`: what the estimation measured, as the decision reads it. */
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { header, readVersioned, writeVersioned } from '../engine/io/versioned.ts';
import type { ModelConfig } from '../models/architecture.ts';
import type { ImportanceScores } from './decide.ts';
import { distancesSchema } from './stability.ts';
import { UNIT_SCORES } from './unit-scores.ts';

const series = z.array(z.number());

export const recordsSchema = z.strictObject({
  ...header('light-peft/records', 1),
  /** sha256 of the base checkpoint. */
  base: z.string(),
  steps: z.int().positive(),
  counted_steps: z.int().positive(),
  seed: z.int(),
  /** How long it took; absent in files of version 0.1. */
  seconds: z.number().nonnegative().optional(),
  /** NaN or infinite samples, which count as 0. */
  non_finite_samples: z.number(),
  /** Per step: the whole objective, and the task's loss alone. */
  loss: series,
  task_loss: series,
  /** How the kept sets settled; absent where the number of steps was fixed. */
  stability: z
    .strictObject({
      /** Steps of a window; mask distance below which windows agree; latest distances that had to. */
      window: z.int().positive(),
      threshold: z.number(),
      queue: z.int().positive(),
      min_steps: z.int().positive(),
      max_steps: z.int().positive(),
      /** Whether they agreed; else the estimation took "max_steps". */
      reached: z.boolean(),
      /** By window from the second on. */
      distances: z.array(distancesSchema),
    })
    .optional(),
  /** Values after the last step, a row per layer. */
  head_masks: z.array(series),
  ffn_masks: z.array(series),
  /** Other scores of heads and neurons, a row per layer each; absent in files of earlier versions. */
  unit_importance: z
    .partialRecord(z.enum(UNIT_SCORES), z.strictObject({ heads: z.array(series), neurons: z.array(series) }))
    .optional(),
  /** By Hugging Face module name, in the order of the model. */
  module_importance: z.record(z.string(), z.number()),
  rank_importance: z.record(z.string(), series),
});

/** The content of `records.json`, keys as in the file. */
export type EstimateResult = z.infer<typeof recordsSchema>;

/** What types cannot say: lists that belong together are of one length, and both importances are of the same modules. */
const consistent = recordsSchema.check(({ value, issues }) => {
  const refuse = (key: keyof EstimateResult, found: string | number, expected: string): void => {
    issues.push({ code: 'custom', path: [key], message: `found ${found}, expected ${expected}`, input: value });
  };
  const { loss, task_loss: taskLoss, head_masks: heads, ffn_masks: ffn } = value;
  if (taskLoss.length !== loss.length) refuse('task_loss', taskLoss.length, `${loss.length} steps, as in "loss"`);
  if (ffn.length !== heads.length) refuse('ffn_masks', ffn.length, `${heads.length} layers, as in "head_masks"`);
  const sizes = (rows: readonly (readonly number[])[]): string => rows.map(({ length }) => length).join();
  for (const [score, of] of Object.entries(value.unit_importance ?? {})) {
    const refuseRows = (key: string, expected: string): void =>
      refuse('unit_importance', `other rows of "${key}" in "${score}"`, `those of "${expected}"`);
    if (sizes(of.heads) !== sizes(heads)) refuseRows('heads', 'head_masks');
    if (sizes(of.neurons) !== sizes(ffn)) refuseRows('neurons', 'ffn_masks');
  }
  const { module_importance: modules, rank_importance: ranks } = value;
  const unranked = Object.keys(modules).find((name) => !Object.hasOwn(ranks, name));
  const unknown = Object.keys(ranks).find((name) => !Object.hasOwn(modules, name));
  if (unranked !== undefined) refuse('rank_importance', 'nothing', `ranks of "${unranked}", as in "module_importance"`);
  if (unknown !== undefined) refuse('module_importance', 'nothing', `"${unknown}", as in "rank_importance"`);
});

const RECORDS = { format: 'light-peft/records', version: 1, schema: consistent };

/** Writes records atomically. */
export function writeEstimate(path: string, records: Omit<EstimateResult, 'format' | 'version'>): Promise<void> {
  return writeVersioned(path, RECORDS, records);
}

/** @throws UserError for a file that is missing, of another version, or incomplete */
export async function readEstimate(path: string): Promise<EstimateResult> {
  return readVersioned(path, RECORDS);
}

/**
 * Refuses records of another base.
 * @param path of the records, for the message
 * @throws UserError naming both fingerprints, or the table whose size is not the base's
 */
export function assertEstimateFits(
  records: EstimateResult,
  path: string,
  fingerprint: string,
  config: ModelConfig,
): void {
  if (records.base !== fingerprint) {
    throw new UserError(
      `${path}: made with base ${records.base}, this base is ${fingerprint}: use the base it was made with`,
    );
  }
  const check = (key: 'head_masks' | 'ffn_masks', width: number): void => {
    const rows = records[key];
    const odd = rows.find((row) => row.length !== width);
    if (rows.length === config.numLayers && !odd) return;
    const found = `${rows.length} rows${odd ? `, one of ${odd.length}` : ''}`;
    throw new UserError(`${path}: key "${key}": found ${found}, expected ${config.numLayers} of ${width}`);
  };
  check('head_masks', config.numHeads);
  check('ffn_masks', config.intermediateSize);
}

/** The scores that a decision is made by. */
export function scoresOf(estimate: Omit<EstimateResult, 'format' | 'version'>, config: ModelConfig): ImportanceScores {
  return {
    heads: estimate.head_masks,
    neurons: estimate.ffn_masks,
    modules: estimate.module_importance,
    ranks: estimate.rank_importance,
    ...(estimate.unit_importance && { units: estimate.unit_importance }),
    headsPerGroup: config.numHeads / config.kvHeads,
    steps: estimate.steps,
    seed: estimate.seed,
  };
}
