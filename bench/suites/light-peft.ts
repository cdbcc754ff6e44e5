/** Room: bench/suites. LoRA, Light-PEFT at several ratios and full fine-tuning, on the shapes of published models. */
import type { BatchShape } from '../encoder/cost.ts';
import { PUBLISHED, type Published } from '../encoder/published.ts';
import { measureRates } from '../rates.ts';
import type { Measured } from '../report/document.ts';
import type { BenchContext, Suite } from '../suite.ts';
import {
  DECODER,
  generationSchema,
  generationTable,
  LONGEST_TEXT,
  compareGeneration,
} from './light-peft/generation.ts';
import { bucketFigure, bucketTable, lengthsSchema, compareLengths } from './light-peft/lengths.ts';
import { compareMethods, comparedSchema, type Compared } from './light-peft/methods.ts';
import { claimsTable, report, separation } from './light-peft/report.ts';
import { compareSettings, settingsSchema, settingsTable } from './light-peft/settings.ts';
import { DIVISORS, divisorFor, fit, LONGEST_STEP } from './light-peft/shapes.ts';

export const lightPeft: Suite = {
  name: 'light-peft',
  summary: 'LoRA, Light-PEFT and full fine-tuning at published shapes: speed and memory by ratio',
  peers: [],
  measure,
};

const SIZES: Readonly<Record<'quick' | 'full', BatchShape>> = {
  quick: { batch: 2, seq: 16 },
  full: { batch: 8, seq: 128 },
};

async function measure(context: BenchContext): Promise<Measured> {
  const { quick } = context;
  const rates = await measureRates(context);
  const batch = quick ? SIZES.quick : SIZES.full;
  const divisorOf = (model: Published): number =>
    quick || !rates ? DIVISORS.at(-1)! : divisorFor(model, batch, rates.flops, context.engine);
  const models = (quick ? PUBLISHED.slice(0, 1) : PUBLISHED).map((model) => ({
    model,
    fitted: fit(model, divisorOf(model), batch.seq),
  }));
  const compared: Compared[] = [];
  for (const { model, fitted } of models) {
    const name = `${model.name}, ${fitted.label}`;
    const result = await context.part(name, comparedSchema, () => compareMethods(context, model, fitted, batch));
    if (result) compared.push(result);
  }
  const { model, fitted } = models[0]!;
  const onModel = `${model.name}, ${fitted.label}`;
  const settings = await context.part('settings that save memory', settingsSchema, () =>
    compareSettings(context, fitted.shape, batch),
  );
  const lengths = await context.part('length-bucketed batches', lengthsSchema, () => compareLengths(context));
  const decoder = fit(DECODER, divisorOf(DECODER), LONGEST_TEXT);
  const generated = await context.part(`generation, ${decoder.label}`, generationSchema, () =>
    compareGeneration(context, decoder),
  );
  const parts = compared.map((one) => report(one, rates, quick));
  return {
    tables: [
      ...parts.flatMap((p) => p.tables),
      ...(compared.length > 0 ? [claimsTable(compared)] : []),
      ...(settings ? [settingsTable(settings, onModel)] : []),
      ...(lengths ? [bucketTable(lengths)] : []),
      ...(generated ? [generationTable(generated)] : []),
    ],
    figures: [...parts.flatMap((p) => p.figures), ...(lengths ? [bucketFigure(lengths)] : [])],
    targets: parts.flatMap((p) => p.targets),
    notes: [
      `Scaling rule: the width, its heads and neurons, the vocabulary and the layers (at least 4) are divided by the smallest of ${DIVISORS.join(', ')} for which a LoRA step is predicted to take at most ${LONGEST_STEP} s (4·P·T operations at the product rate of this run) and no tensor exceeds the adapter’s binding limit. Heads keep 64 features.`,
      'OPT is trained as a decoder with a classification head on its last token; text is generated with its language model.',
      'Heads and neurons are chosen at random, heads within layers and neurons over the model; modules and ranks by the settings’ ratios.',
      'Before timing, the logits of each pruned model were compared with those of the whole model with masks at 0.',
      'Block FLOPs leave PEFT modules, embeddings and head out. Own share: what weights, trainables × 4 and the values that must be kept need, relative to LoRA.',
      'Roofline: a program’s kernels at the best product and copy rates of this run, the larger of the two for each.',
      ...(rates ? compared.flatMap((one) => separation(one, rates)) : []),
    ],
  };
}
