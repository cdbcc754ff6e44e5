/** Room: bench/suites. LoRA, Light-PEFT by ratio and full fine-tuning of one model, interleaved: times, bytes, and what they must need. */
import { z } from 'zod';
import type { Program } from '../../../engine/compile/program.ts';
import type { PeftModel } from '../../../peft-model/peft-model.ts';
import { blockFlops, heldValues, memoryBound, savedValues, type BatchShape, type Pass } from '../../encoder/cost.ts';
import { pruneAtRandom, randomDecision } from '../../encoder/decision.ts';
import { maskedLogits } from '../../encoder/masked-logits.ts';
import { benchOptions, openFull, openPeft, writeRandomModel } from '../../encoder/model.ts';
import type { Published } from '../../encoder/published.ts';
import { makeResident, type Resident } from '../../encoder/resident.ts';
import { assertClose } from '../../measure/closeness.ts';
import { demandSchema, demandsOf } from '../../measure/roofline.ts';
import { interleave } from '../../measure/sample.ts';
import { sampleSchema } from '../../report/document.ts';
import type { BenchContext } from '../../suite.ts';
import type { Fitted } from './shapes.ts';

const phases = <T extends z.ZodType>(value: T) => z.object({ train: value, infer: value });
const timed = <T extends z.ZodType>(value: T) => phases(value).extend({ merged: value });

const entrySchema = z.object({
  name: z.string(),
  /** Null: not Light-PEFT. */
  ratio: z.number().nullable(),
  /** Whether it trains PEFT modules rather than everything. */
  peft: z.boolean(),
  /** Merged: inference with the modules added to the weights. */
  seconds: timed(sampleSchema),
  /** By kind. */
  bytes: phases(z.record(z.string(), z.number())),
  /** Operations of the blocks. */
  flops: timed(z.number()),
  /** Bytes that must be held. */
  bound: phases(z.number()),
  /** What the kernels must do at least. */
  kernels: timed(z.array(demandSchema)),
});

export const comparedSchema = z.object({
  model: z.string(),
  label: z.string(),
  tokens: z.number(),
  /** LoRA first. */
  entries: z.array(entrySchema),
});

export type Compared = z.infer<typeof comparedSchema>;
export type Entry = z.infer<typeof entrySchema>;
export type Phase = 'train' | 'infer';
export type TimedPhase = Phase | 'merged';

const RATIOS = [0, 0.2, 1 / 3, 0.5, 0.6];

/** Of logits, pruned against masked: sums in another order. */
const TOLERANCE = 1e-3;

interface Measurable {
  readonly resident: Resident;
  readonly ratio: number | null;
}

/** @throws UserError where a pruned model computes something else than the masked one */
export async function compareMethods(
  context: BenchContext,
  { name: model, family }: Published,
  fitted: Fitted,
  batch: BatchShape,
): Promise<Compared> {
  const { engine, timing, quick } = context;
  const folder = await writeRandomModel(context.folder, model, fitted.shape, family);
  const options = benchOptions(context.changes);
  const open = (): Promise<PeftModel> => openPeft(engine, folder, options);
  const lora = await makeResident(engine, 'LoRA', batch, options, open);
  const all: Measurable[] = [{ resident: lora, ratio: null }];
  for (const ratio of quick ? [0, 0.5] : RATIOS) {
    const name = `Light-PEFT ${Math.round(ratio * 100)}%`;
    let expected: Float32Array = new Float32Array();
    const cut = async (): Promise<PeftModel> => {
      const whole = await open();
      expected = await maskedLogits(whole, randomDecision(whole, options, ratio), batch);
      return pruneAtRandom(whole, options, ratio);
    };
    const resident = await makeResident(engine, name, batch, options, cut);
    assertClose(`${model}, ${name}: logits`, await resident.logits(), expected, TOLERANCE);
    all.push({ resident, ratio });
  }
  const openAll = () => openFull(engine, folder, options);
  all.push({ resident: await makeResident(engine, 'full fine-tuning', batch, options, openAll), ratio: null });
  const residents = all.map((c) => c.resident);
  const training = residents.map((r) => r.training);
  const train = await interleave(training, timing);
  const inference = residents.map((r) => r.inference);
  const infer = await interleave(inference, timing);
  const asMerged = new Map<string, Pick<Resident, 'infer' | 'inference'>>();
  for (const resident of residents)
    asMerged.set(resident.name, resident.model.method ? await resident.merge() : resident);
  const merged = await interleave(
    [...asMerged.values()].map((one) => one.inference),
    timing,
  );
  const entries = all.map(({ resident, ratio }) => {
    const { name } = resident;
    return {
      ...needs(resident, asMerged.get(name)!.infer, batch),
      ratio,
      seconds: { train: train.get(name)!, infer: infer.get(name)!, merged: merged.get(name)! },
    };
  });
  for (const resident of residents) resident.free();
  engine.arena.release();
  return { model, label: fitted.label, tokens: batch.batch * batch.seq, entries };
}

function needs(resident: Resident, merged: Program, batch: BatchShape): Omit<Entry, 'ratio' | 'seconds'> {
  const { name, model, trainBytes, inferBytes } = resident;
  const { base, method, parameters } = model;
  const pass: Pass = method ? 'lora' : 'full';
  const weights = trainBytes.weights ?? 0;
  const saved = savedValues(base.config, base.layers, method?.modules ?? [], batch);
  const forward = blockFlops(base.config, base.layers, batch, 'forward');
  return {
    name,
    peft: method !== undefined,
    bytes: { train: trainBytes, infer: inferBytes },
    flops: { train: blockFlops(base.config, base.layers, batch, pass), infer: forward, merged: forward },
    bound: {
      train: memoryBound({ weights, trainables: parameters.count, saved }),
      infer: weights + 4 * parameters.count + 4 * heldValues(base.config, base.layers, batch),
    },
    kernels: { train: demandsOf(resident.train), infer: demandsOf(resident.infer), merged: demandsOf(merged) },
  };
}
