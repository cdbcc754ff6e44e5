/** Room: bench/encoder. A method with its training step and its inference ready to run, and the bytes that each needs. */
import type { Engine } from '../../engine/engine.ts';
import type { Program } from '../../engine/compile/program.ts';
import type { RunOptions } from '../../experiments/options.ts';
import type { BatchInputs, PeftModel } from '../../peft-model/peft-model.ts';
import type { Candidate } from '../measure/sample.ts';
import { ownCandidate } from '../suite.ts';
import type { BatchShape } from './cost.ts';
import { randomBatch } from './model.ts';
import { trainingSteps } from './steps.ts';

type Bytes = Readonly<Record<string, number>>;

export interface Resident {
  readonly name: string;
  readonly model: PeftModel;
  readonly train: Program;
  readonly infer: Program;
  /** Bytes by kind while a step runs, and while inferring. */
  readonly trainBytes: Bytes;
  readonly inferBytes: Bytes;
  readonly training: Candidate;
  readonly inference: Candidate;
  /** Adds the modules to the weights, for good, and compiles inference anew. */
  merge(): Promise<Pick<Resident, 'infer' | 'inference'>>;
  /** Runs inference once. */
  logits(): Promise<Float32Array>;
  free(): void;
}

/** Kinds that inference has no need of. */
const TRAINING_ONLY = new Set(['gradients', 'optimizer', 'state', 'activations']);

/**
 * Compiles both programs of a model. Several may be resident at once: they share the arena, which is counted for each by its
 * own need.
 * @param open makes the model, which the resident owns; what it allocates is counted
 */
export async function makeResident(
  engine: Engine,
  name: string,
  { batch, seq }: BatchShape,
  options: RunOptions,
  open: () => Promise<PeftModel>,
): Promise<Resident> {
  const before = engine.memory.byKind();
  const model = await open();
  const steps = trainingSteps(model, options);
  const data = randomBatch(model.base.config, batch, seq);
  const train = await steps.program(data);
  const after = engine.memory.byKind();
  const held = Object.fromEntries(
    Object.entries(after).map(([kind, bytes]) => [kind, bytes - (before[kind as keyof typeof before] ?? 0)]),
  );
  const inference = (title: string): Promise<Program> =>
    engine.compile(title, model.inputSpecs(batch, seq), (inputs) => ({
      outputs: { logits: model.logits(inputs as BatchInputs) },
    }));
  const infer = await inference(`${name} infer`);
  let merged: Program | undefined;
  const values = model.inputValues(data);
  let t = 0;
  const kept = Object.entries(held).filter(([kind]) => !TRAINING_ONLY.has(kind) && kind !== 'io');
  return {
    name,
    model,
    train,
    infer,
    trainBytes: nonzero({ ...held, activations: train.memory.activations }),
    inferBytes: nonzero({ ...Object.fromEntries(kept), io: infer.memory.io, activations: infer.memory.activations }),
    training: ownCandidate(engine, () => train.run(steps.inputs(t++, data)), name),
    inference: ownCandidate(engine, () => infer.run(values), name),
    async merge() {
      await model.merge();
      const program = await inference(`${name} merged`);
      merged = program;
      return { infer: program, inference: ownCandidate(engine, () => program.run(values), name) };
    },
    logits() {
      infer.run(values);
      return infer.read('logits');
    },
    free() {
      infer.dispose();
      merged?.dispose();
      steps.dispose();
      model.dispose();
    },
  };
}

function nonzero(bytes: Bytes): Bytes {
  return Object.fromEntries(Object.entries(bytes).filter(([, size]) => size > 0));
}

export function total(bytes: Bytes): number {
  return Object.values(bytes).reduce((a, b) => a + b, 0);
}
