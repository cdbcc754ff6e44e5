/** Room: experiments. Named sets of options: the published choices, and what was found better. Options that are given win over them. */

/** Values of settings by their keys. */
type Preset = Readonly<Record<string, string | number | boolean>>;

/** Gu et al. 2024: RoBERTa-large on GLUE, by the public scripts. */
const PAPER: Preset = {
  loraR: 8,
  loraAlpha: 16,
  dropout: 0.05,
  maxLength: 128,
  batchSize: 32,
  lr: 3e-4,
  epochs: 10,
  estimateSteps: 800,
  l1: 1e-4,
  headsRatio: 1 / 3,
  ffnRatio: 1 / 3,
  importance: 'mask',
  moduleRatio: 0.75,
  rankRatio: 0.5,
};

/** Chosen on held-out training data: bench/paper/RESULTS.md has the scores and candidates that were tried. */
const LIGHT_PEFT_PLUS: Preset = {
  headsRatio: 1 / 2,
  ffnRatio: 1 / 2,
  importance: 'taylor',
  moduleRatio: 0,
  rankRatio: 0.5,
};

export const PRESETS = { paper: PAPER, 'light-peft+': LIGHT_PEFT_PLUS } as const;

export type PresetName = keyof typeof PRESETS;
