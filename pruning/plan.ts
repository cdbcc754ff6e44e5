/** Room: pruning. `plan.json`: what stays of a base checkpoint and of its PEFT modules. With the base it is all surgery needs. */
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { header, readVersioned, writeVersioned } from '../engine/io/versioned.ts';
import type { ModelConfig } from '../models/architecture.ts';
import { importanceSchema, UNIT_SCORES } from './unit-scores.ts';

const count = z.int().nonnegative();
const scope = z.enum(['layerwise', 'global']);
const ratio = z.number().min(0).lt(1);

/** Ascending, so that equal plans are equal files. */
const indices = z.array(count).refine((list) => list.every((n, i) => i === 0 || n > list[i - 1]!), {
  error: 'expected ascending indices, each once',
});

const NAMED = `expected ${UNIT_SCORES.join(', ')}, or several scores joined by +`;

export const planSchema = z.strictObject({
  ...header('light-peft/plan', 2),
  /** The checkpoint this plan was made for. */
  base: z.strictObject({
    fingerprint: z.string(),
    model_type: z.string(),
    num_hidden_layers: count,
    num_attention_heads: count,
    num_key_value_heads: count,
    intermediate_size: count,
  }),
  /** Kept heads and neurons per layer, and their mask values where they are to be folded into the weights. */
  layers: z.array(
    z.strictObject({
      heads: indices,
      neurons: indices,
      fold: z.strictObject({ heads: z.array(z.number()), neurons: z.array(z.number()) }).optional(),
    }),
  ),
  /** Kept PEFT modules by Hugging Face name: their original rank, which fixes the scaling, and the ranks kept; 0 without ranks. */
  modules: z.record(z.string(), z.strictObject({ ranks: count, kept: indices })),
  /** How it was decided. */
  origin: z.strictObject({
    method: z.enum(['light-peft', 'random']),
    seed: z.int(),
    steps: count,
    heads_ratio: ratio,
    heads_scope: scope,
    head_unit: z.enum(['query', 'group']),
    ffn_ratio: ratio,
    ffn_scope: scope,
    mask_score: z.enum(['abs', 'signed']),
    /** What heads and neurons were ranked by; absent: their masks. */
    importance: importanceSchema.refine((score) => score !== 'mask', NAMED).optional(),
    module_ratio: ratio,
    rank_ratio: ratio,
    rank_scope: scope,
  }),
});

/** The content of `plan.json`: what stays of a base's layers and of its PEFT modules, and how that was decided. */
export type Plan = Omit<z.infer<typeof planSchema>, 'format' | 'version'>;

const PLAN = { format: 'light-peft/plan', version: 2, schema: planSchema };

/** What stays of a layer: indices into the original heads and neurons, ascending. */
export interface LayerKeep {
  readonly heads: readonly number[];
  readonly neurons: readonly number[];
  /** Mask values of the kept heads and neurons, to be folded into the output projections' columns. */
  readonly fold?: { readonly heads: readonly number[]; readonly neurons: readonly number[] } | undefined;
}

/** A decision as the plan of a base checkpoint. */
export function planFor(config: ModelConfig, fingerprint: string, decision: Omit<Plan, 'base'>): Plan {
  const base = {
    fingerprint,
    model_type: config.family,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    num_key_value_heads: config.kvHeads,
    intermediate_size: config.intermediateSize,
  };
  return { base, ...decision };
}

/** Writes a plan atomically. */
export function writePlan(path: string, plan: Plan): Promise<void> {
  return writeVersioned(path, PLAN, plan);
}

/** @throws UserError for a file that is missing, of another version, or malformed */
export async function readPlan(path: string): Promise<Plan> {
  const { format: _, version: __, ...plan } = await readVersioned(path, PLAN);
  return plan;
}

/** The plan that keeps everything: what PEFT without pruning runs on. */
export function keepAll(config: ModelConfig): LayerKeep[] {
  const all = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
  return Array.from({ length: config.numLayers }, () => ({
    heads: all(config.numHeads),
    neurons: all(config.intermediateSize),
  }));
}

/**
 * Refuses a plan that is for another base.
 * @param path of the plan, for the message
 * @param fingerprint of the base at hand
 * @throws UserError naming both fingerprints, or the first index that is out of range
 */
export function assertPlanFits(plan: Plan, path: string, fingerprint: string, config: ModelConfig): void {
  if (plan.base.fingerprint !== fingerprint) {
    throw new UserError(
      `${path}: made for base ${plan.base.fingerprint}, this base is ${fingerprint}: use the base it was made for`,
    );
  }
  if (plan.layers.length !== config.numLayers) {
    throw new UserError(`${path}: key "layers": found ${plan.layers.length}, expected ${config.numLayers}`);
  }
  plan.layers.forEach(({ heads, neurons, fold }, layer) => {
    const check = (key: string, list: readonly number[], limit: number): void => {
      const last = list[list.length - 1];
      if (last === undefined || last < limit) return;
      throw new UserError(`${path}: key "layers[${layer}].${key}": found ${last}, expected indices below ${limit}`);
    };
    check('heads', heads, config.numHeads);
    check('neurons', neurons, config.intermediateSize);
    if (fold && (fold.heads.length !== heads.length || fold.neurons.length !== neurons.length)) {
      throw new UserError(`${path}: key "layers[${layer}].fold": expected a value per kept head and neuron`);
    }
  });
  for (const [name, { ranks, kept }] of Object.entries(plan.modules)) {
    if (ranks === 0 && kept.length === 0) continue;
    const last = kept[kept.length - 1];
    if (last === undefined || last >= ranks) {
      throw new UserError(
        `${path}: key "modules.${name}.kept": found ${last}, expected indices below ${ranks}, at least one`,
      );
    }
  }
}
