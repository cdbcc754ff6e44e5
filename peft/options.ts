/**
 * Room: peft. What a fresh PEFT method is asked for, with defaults: the fields of Hugging Face PEFT's configurations, and those of
 * bottleneck adapters.
 */
import { z } from 'zod';

/** Beyond it f32 has only infinity. */
const LARGEST = 3.4e38;
const count = z.int().positive();
const positive = z.number().positive().max(LARGEST);
const names = z.array(z.string().min(1));
const IN_RATIO = 'expected a number in [0, 1)';

export const peftOptionsSchema = z.strictObject({
  method: z
    .enum(['lora', 'dora', 'ia3', 'houlsby', 'pfeiffer', 'parallel', 'adapter'])
    .default('lora')
    .describe('PEFT method'),
  targetModules: z
    .union([z.string(), names])
    .default('all-linear')
    .describe("modules: all-linear, default (PEFT's own), names separated by commas, or a regular expression"),
  excludeModules: z
    .union([z.string(), names])
    .optional()
    .describe('modules to leave out: names, or a regular expression'),
  layersToTransform: z.array(z.number()).optional().describe('layers with modules, by numbers separated by commas'),
  modulesToSave: names.optional().describe('modules that train whole beside the head, e.g. pooler,LayerNorm'),
  r: count.default(8).describe('rank of LoRA modules'),
  loraAlpha: positive.default(16).describe('LoRA scaling is alpha / r'),
  rankPattern: z
    .record(z.string(), count)
    .optional()
    .describe('other ranks by the end of a module name, e.g. query=2,output.dense=16'),
  alphaPattern: z.record(z.string(), positive).optional().describe('other alphas, as `rankPattern`'),
  useRslora: z.boolean().default(false).describe('LoRA scaling is alpha / √r'),
  bias: z.enum(['none', 'all', 'lora_only']).default('none').describe('biases of the base that train along'),
  initLoraWeights: z
    .union([z.boolean(), z.enum(['gaussian', 'orthogonal'])])
    .default(true)
    .describe('how LoRA starts; false: with both factors drawn'),
  feedforwardModules: z
    .union([z.string(), names])
    .optional()
    .describe('(IA)³ modules whose input is scaled, as `targetModules`'),
  adapterSize: count.optional().describe('bottleneck size of adapters (8, or by `reductionFactor`)'),
  reductionFactor: positive.optional().describe('bottleneck size as hidden size / this'),
  adapterScale: z
    .union([z.number(), z.enum(['learned', 'channel'])])
    .optional()
    .describe('scale of adapter outputs (1; parallel 4), learned, or channel'),
  adapterActivation: z
    .enum(['relu', 'gelu', 'tanh', 'swish'])
    .optional()
    .describe('non-linearity of adapters (relu; houlsby swish)'),
  adapterInit: z
    .enum(['lora', 'bert', 'houlsby'])
    .default('lora')
    .describe('how adapters start: up zero, or both drawn'),
  adapterParallel: z.boolean().default(false).describe('adapters (method adapter) read the sublayer input'),
  dropout: z.number().min(0, IN_RATIO).lt(1, IN_RATIO).default(0.05).describe('dropout of PEFT modules'),
});

/** Every option, defaults filled in. */
export type PeftOptions = z.infer<typeof peftOptionsSchema>;

/** Options that differ from the defaults. */
export type PeftOptionsInput = z.input<typeof peftOptionsSchema>;

const LABELS: Readonly<Record<PeftOptions['method'], string>> = {
  lora: 'LoRA',
  dora: 'DoRA',
  ia3: '(IA)³',
  houlsby: 'Houlsby adapters',
  pfeiffer: 'Pfeiffer adapters',
  parallel: 'Parallel adapters',
  adapter: 'Bottleneck adapters',
};

/** What a method is called in tables and reports. */
export function methodLabel(method: PeftOptions['method']): string {
  return LABELS[method];
}
