/**
 * Room: peft/lora. Low-rank adaptation (Hu et al. 2022) of linear layers, y += (α/r)·B·A·dropout(x), and of embeddings, where x is the one
 * column that a token's id chooses, and there is no dropout.
 */
import type { Tensor } from '../../engine/graph/tensor.ts';
import { add, dropout } from '../../engine/ops/elementwise.ts';
import type { ForwardHooks } from '../../models/forward-hooks.ts';
import { ModuleMethod } from '../method-base.ts';
import type { Direction, Rng, Factor, PeftModule, PeftRun, StateDict } from '../module.ts';
import type { LoraConfig } from './config.ts';
import { deltaRow, initLora, loraDelta, loraFactors } from './delta.ts';

/** Random streams of the dropouts of LoRA and DoRA start here; the model's own are below. */
export const DROPOUT_STREAM = 1000;

export class Lora extends ModuleMethod<LoraConfig> {
  factors(module: PeftModule): Factor[] {
    return loraFactors(module);
  }

  initParameters(module: PeftModule, draw: Rng): Map<string, Float32Array> {
    return initLora(module, this.config, draw);
  }

  hooks(run: PeftRun): ForwardHooks {
    const active = this.activeModules(run);
    const adapted = (name: string, y: Tensor, input: (stream: number) => Tensor): Tensor => {
      const found = active(name);
      if (!found) return y;
      const delta = loraDelta(run, found.module, input(DROPOUT_STREAM + found.index));
      run.onDelta?.(found.module, delta, y);
      return add(y, delta);
    };
    const { random } = run;
    return {
      linear: (name, x, y) =>
        adapted(name, y, (stream) => (random ? dropout(x, this.config.dropout, stream, random) : x)),
      lookup: (name, ids, y) => adapted(name, y, () => ids),
    };
  }

  /** W ± scaling·B·A, of embeddings W ± scaling·(B·A)ᵀ. */
  merge(module: PeftModule, values: StateDict, weight: Float32Array, direction: Direction): Float32Array {
    const { inFeatures, outFeatures, isEmbedding } = module;
    const sign = direction === 'merge' ? 1 : -1;
    const sum = new Float32Array(weight.length);
    for (let o = 0; o < outFeatures; o++) {
      deltaRow(module, values, o).forEach((d, i) => {
        const at = isEmbedding ? i * outFeatures + o : o * inFeatures + i;
        sum[at] = weight[at]! + sign * d;
      });
    }
    return sum;
  }
}
