/** Room: audit. What goes on inside a model on some texts: hidden states of the first token by layer, how active neurons are. */
import type { Examples } from '../data/example-store.ts';
import { DataLoader } from '../data/data-loader.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { cast } from '../engine/ops/copy.ts';
import { abs, mul } from '../engine/ops/elementwise.ts';
import { gatherRows } from '../engine/ops/gather.ts';
import { reshape } from '../engine/ops/leaf.ts';
import { sumCols } from '../engine/ops/reduce.ts';
import { ProgramCache } from '../engine/program-cache.ts';
import type { ForwardHooks } from '../models/forward-hooks.ts';
import { keepLayerOutputs } from '../models/layer-outputs.ts';
import type { BatchInputs, ForwardOptions, PeftModel } from '../peft-model/peft-model.ts';

/** What is watched of a forward pass. */
interface Watched {
  readonly options: ForwardOptions;
  /** Called after the pass. */
  readonly outputs: (inputs: BatchInputs) => Readonly<Record<string, Tensor>>;
}

const BATCH = 32;

/** Runs texts through a model, and gives what is watched of each batch. @param onBatch places of the batch's examples, and its outputs */
async function watchEach(
  model: PeftModel,
  examples: Examples,
  watch: () => Watched,
  onBatch: (indices: readonly number[], outputs: ReadonlyMap<string, Float32Array>) => void,
): Promise<void> {
  const { config } = model.base;
  const batches = new DataLoader(examples, {
    batchSize: BATCH,
    order: 'length',
    seed: 0,
    padId: config.padTokenId,
    maxLength: config.maxTokens,
  });
  let names: readonly string[] = [];
  using programs = new ProgramCache(model.engine, ({ batch, seq }) => ({
    name: `probe ${batch}x${seq}`,
    inputs: model.inputSpecs(batch, seq),
    trace: (given) => {
      const inputs = given as BatchInputs;
      const { options, outputs } = watch();
      const logits = model.logits(inputs, options);
      const found = outputs(inputs);
      names = Object.keys(found);
      return { outputs: { ...found, logits } };
    },
  }));
  for (const batch of batches.epoch(0)) {
    const program = await programs.get(batch);
    program.run(model.inputValues(batch));
    onBatch([...batch.indices], await program.readAll(names));
  }
}

/** The first token's hidden state after each layer, for every text: f32 [features] by layer and text. */
export async function firstTokenStates(model: PeftModel, examples: Examples): Promise<readonly Float32Array[][]> {
  const { config, layers } = model.base;
  const states: Float32Array[][] = layers.map(() => []);
  const watch = (): Watched => {
    const kept = keepLayerOutputs(config, layers);
    const outputs = ({ rows }: BatchInputs): Record<string, Tensor> =>
      Object.fromEntries(kept.outputs.map((states, layer) => [String(layer), gatherRows(states, rows!)]));
    return { options: { hooks: [kept.hooks] }, outputs };
  };
  await watchEach(model, examples, watch, (indices, outputs) => {
    for (const [layer, values] of outputs) {
      const width = config.hiddenSize;
      indices.forEach((index, row) => {
        states[Number(layer)]![index] = values.slice(row * width, (row + 1) * width);
      });
    }
  });
  return states;
}

/** How active neurons are on average, over all tokens: |activation|. */
export interface Activity {
  /** Of the FFN, by layer. */
  readonly neurons: readonly (readonly number[])[];
  /** Of the modules' bottlenecks, by module. */
  readonly bottlenecks: Readonly<Record<string, readonly number[]>>;
}

/** Mean activity of FFN neurons and bottlenecks on texts. */
export async function activity(model: PeftModel, examples: Examples): Promise<Activity> {
  const totals = new Map<string, number[]>();
  const watch = (): Watched => {
    const seen = new Map<string, Tensor>();
    const hooks: ForwardHooks = {
      intermediate: (layer, activated) => {
        seen.set(`layer ${layer}`, activated);
        return activated;
      },
    };
    const onBottleneck: ForwardOptions['onBottleneck'] = ({ name }, activated) => void seen.set(`module ${name}`, activated); // prettier-ignore
    const outputs = ({ attentionMask }: BatchInputs): Record<string, Tensor> =>
      Object.fromEntries([...seen].map(([name, activated]) => [name, maskedSum(activated, attentionMask)]));
    return { options: { hooks: [hooks], onBottleneck }, outputs };
  };
  await watchEach(model, examples, watch, (_, outputs) => {
    for (const [name, values] of outputs) {
      const before = totals.get(name);
      totals.set(
        name,
        Array.from(values, (value, i) => value + (before?.[i] ?? 0)),
      );
    }
  });
  let tokens = 0;
  for (const { mask } of examples) for (const one of mask) tokens += one;
  const means = (name: string): number[] => (totals.get(name) ?? []).map((total) => total / tokens);
  const modules = model.method?.modules ?? [];
  return {
    neurons: model.base.layers.map((_, layer) => means(`layer ${layer}`)),
    bottlenecks: Object.fromEntries(modules.map(({ name }) => [name, means(`module ${name}`)])),
  };
}

/** Sum of |x| over the tokens that are none of padding: f32 [features]. */
function maskedSum(x: Tensor, mask: Tensor): Tensor {
  const [tokens, features] = x.shape as [number, number];
  const counted = mul(abs(x), reshape(cast(mask, 'f32'), [tokens, 1]));
  return reshape(sumCols(counted, tokens, features), [features]);
}
