/** Room: bench/suites. LoRA, Light-PEFT by ratio and full fine-tuning of one model, by turns: times, bytes, and what they must need. */
import { z } from 'zod';
import type { PeftModelState } from '../../../peft-model/assembly.ts';
import { prune } from '../../../train/stages.ts';
import { blockFlops, heldValues, memoryBound, savedValues, type BatchShape, type Pass } from '../../encoder/cost.ts';
import { benchSettings, openFull, openPeft, writeRandomModel } from '../../encoder/model.ts';
import { randomPlan } from '../../encoder/plan.ts';
import type { Published } from '../../encoder/published.ts';
import { assembled, makeResident, type Resident } from '../../encoder/resident.ts';
import { softLogits } from '../../encoder/soft.ts';
import { assertClose } from '../../measure/closeness.ts';
import { demandSchema, demandsOf } from '../../measure/floor.ts';
import { alternate } from '../../measure/sample.ts';
import { sampleSchema } from '../../report/document.ts';
import type { BenchContext } from '../../suite.ts';
import type { Fitted } from './shapes.ts';

const phases = <T extends z.ZodType>(value: T) => z.object({ train: value, infer: value });

const entrySchema = z.object({
  name: z.string(),
  /** Null: not Light-PEFT. */
  ratio: z.number().nullable(),
  /** Whether it trains PEFT modules rather than everything. */
  peft: z.boolean(),
  seconds: phases(sampleSchema),
  /** By kind. */
  bytes: phases(z.record(z.string(), z.number())),
  /** Operations of the blocks. */
  flops: phases(z.number()),
  /** Bytes that must be held. */
  bound: phases(z.number()),
  /** What the kernels must do at least. */
  kernels: phases(z.array(demandSchema)),
});

export const racedSchema = z.object({
  model: z.string(),
  label: z.string(),
  tokens: z.number(),
  /** LoRA first. */
  entries: z.array(entrySchema),
});

export type Raced = z.infer<typeof racedSchema>;
export type Entry = z.infer<typeof entrySchema>;
export type Phase = 'train' | 'infer';

const RATIOS = [0, 0.2, 1 / 3, 0.5, 0.6];

/** Of logits, pruned against masked: sums in another order. */
const TOLERANCE = 1e-3;

interface Contestant {
  readonly resident: Resident;
  readonly ratio: number | null;
}

/** @throws UserError where a pruned model computes something else than the masked one */
export async function raceModel(
  context: BenchContext,
  { name: model, family }: Published,
  fitted: Fitted,
  batch: BatchShape,
): Promise<Raced> {
  const { engine, timing, quick } = context;
  const folder = await writeRandomModel(context.folder, model, fitted.shape, family);
  const settings = benchSettings(context.settings);
  const open = (): Promise<PeftModelState> => openPeft(engine, folder, settings);
  const lora = await makeResident(engine, 'LoRA', batch, settings, assembled(engine, open));
  const all: Contestant[] = [{ resident: lora, ratio: null }];
  for (const ratio of quick ? [0, 0.5] : RATIOS) {
    const name = `Light-PEFT ${Math.round(ratio * 100)}%`;
    let expected: Float32Array = new Float32Array();
    const cut = async (): Promise<PeftModelState> => {
      const whole = await open();
      const plan = randomPlan(whole, settings, ratio);
      expected = await softLogits(engine, whole, plan, batch);
      return prune(engine, whole, plan, settings);
    };
    const resident = await makeResident(engine, name, batch, settings, assembled(engine, cut));
    assertClose(`${model}, ${name}: logits`, await resident.logits(), expected, TOLERANCE);
    all.push({ resident, ratio });
  }
  const openAll = () => openFull(engine, folder, settings);
  all.push({ resident: await makeResident(engine, 'full fine-tuning', batch, settings, openAll), ratio: null });
  const residents = all.map((c) => c.resident);
  const training = residents.map((r) => r.training);
  const train = await alternate(training, timing);
  const inference = residents.map((r) => r.inference);
  const infer = await alternate(inference, timing);
  const entries = all.map(({ resident, ratio }) => ({
    ...needs(resident, batch),
    ratio,
    seconds: { train: train.get(resident.name)!, infer: infer.get(resident.name)! },
  }));
  for (const resident of residents) resident.free();
  engine.arena.release();
  return { model, label: fitted.label, tokens: batch.batch * batch.seq, entries };
}

function needs(resident: Resident, batch: BatchShape): Omit<Entry, 'ratio' | 'seconds'> {
  const { name, classifier, trainBytes, inferBytes } = resident;
  const { base, method, parameters } = classifier;
  const pass: Pass = method ? 'lora' : 'full';
  const weights = trainBytes.weights ?? 0;
  const saved = savedValues(base.config, base.layers, method?.modules ?? [], batch);
  return {
    name,
    peft: method !== undefined,
    bytes: { train: trainBytes, infer: inferBytes },
    flops: {
      train: blockFlops(base.config, base.layers, batch, pass),
      infer: blockFlops(base.config, base.layers, batch, 'forward'),
    },
    bound: {
      train: memoryBound({ weights, trainables: parameters.count, saved }),
      infer: weights + 4 * parameters.count + 4 * heldValues(base.config, base.layers, batch),
    },
    kernels: { train: demandsOf(resident.train), infer: demandsOf(resident.infer) },
  };
}
