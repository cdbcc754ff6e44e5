/** Room: peft. What PEFT 0.21 targets where `target_modules` is null, by `model_type`; DistilBERT, which it leaves out, as BERT. */
import { UserError } from '../engine/errors.ts';
import type { Ia3Config } from './ia3/config.ts';
import type { CommonConfig } from './keys.ts';

const LORA_TARGETS: Readonly<Record<string, readonly string[]>> = {
  bert: ['query', 'value'],
  roberta: ['query', 'value'],
  'xlm-roberta': ['query', 'value'],
  distilbert: ['q_lin', 'v_lin'],
  gpt2: ['c_attn'],
  opt: ['q_proj', 'v_proj'],
  llama: ['q_proj', 'v_proj'],
  mistral: ['q_proj', 'v_proj'],
  qwen2: ['q_proj', 'v_proj'],
};

/** Targets of (IA)³; the last of each is its feed-forward module. */
const IA3_TARGETS: Readonly<Record<string, readonly string[]>> = {
  bert: ['key', 'value', 'output.dense'],
  roberta: ['key', 'value', 'output.dense'],
  'xlm-roberta': ['key', 'value', 'output.dense'],
  distilbert: ['k_lin', 'v_lin', 'lin2'],
  gpt2: ['c_attn', 'mlp.c_proj'],
  opt: ['q_proj', 'k_proj', 'fc2'],
  llama: ['k_proj', 'v_proj', 'down_proj'],
  mistral: ['k_proj', 'v_proj', 'down_proj'],
  qwen2: ['q_proj', 'v_proj', 'down_proj'],
};

/**
 * The configuration with its targets filled in where it leaves them to the model.
 * @param family `model_type` of the base
 * @throws UserError for a family without defaults, and for adapters, which have none
 */
export function withDefaultTargets<C extends CommonConfig>(config: C, family: string): C {
  if (config.targetModules !== undefined) return config;
  const isIa3 = config.method === 'ia3';
  const targets = config.method === 'bottleneck' ? undefined : (isIa3 ? IA3_TARGETS : LORA_TARGETS)[family];
  if (!targets) throw new UserError(`target_modules: missing, and model type "${family}" has no defaults; name them`);
  if (!isIa3) return { ...config, targetModules: targets };
  const { feedforwardModules = targets.slice(-1) } = config as Partial<Ia3Config>;
  return { ...config, targetModules: targets, feedforwardModules };
}
