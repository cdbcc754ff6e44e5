/**
 * Room: peft/dora. Weight-decomposed low-rank adaptation (Liu et al. 2024): W' = m ∘ (W + ΔW)/‖W + ΔW‖, ΔW = (α/r)·B·A, the norm
 * taken of each row, m one magnitude per output. As in PEFT the norm is a constant for gradients (§4.3 of the paper), and with
 * dropout y + (m/n − 1)·W·x̃ + (m/n)·ΔW·x̃, x̃ the dropped input.
 *
 * Pruning. A cut column of W is one whose input is 0 from then on, but the whole layer's norm still counts it, while the cut
 * layer's cannot. `onSlice` therefore scales m by ‖W_K + ΔW_K‖/‖W + ΔW‖ (K the kept columns, ΔW by the kept ranks): m/n, and with
 * it the output, stays what it was. Nothing of the cut columns has to be kept, and the result is plain DoRA on the cut weight,
 * which PEFT computes alike on a checkpoint whose cut columns are 0. Cut rows take their magnitudes with them; a cut rank leaves m
 * as it is and counts in the norm no more, as a rank of zeros would.
 */
import type { Tensor } from '../../engine/graph/tensor.ts';
import { UserError } from '../../engine/errors.ts';
import { add, div, dropout, mul, sqrt, square, stopGradient, sub } from '../../engine/ops/elementwise.ts';
import { reshape } from '../../engine/ops/leaf.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { sumLast } from '../../engine/ops/reduce.ts';
import type { ForwardHooks } from '../../models/forward-hooks.ts';
import { ModuleMethod } from '../method-base.ts';
import type { LoraConfig } from '../lora/config.ts';
import { deltaRow, initLora, loraDelta, loraFactors, loraNames } from '../lora/delta.ts';
import { DROPOUT_STREAM } from '../lora/lora.ts';
import {
  valueOf,
  type Direction,
  type Rng,
  type Factor,
  type PeftModule,
  type PeftRun,
  type PlacedModule,
  type StateDict,
} from '../module.ts';

export class Dora extends ModuleMethod<LoraConfig> {
  factors(module: PeftModule): Factor[] {
    return [...loraFactors(module), { name: magnitudeName(module), axes: ['out'] }];
  }

  initParameters(module: PeftModule, draw: Rng): Map<string, Float32Array> {
    return initLora(module, this.config, draw);
  }

  initFromWeight(placed: PlacedModule): Map<string, Float32Array> {
    return new Map([[magnitudeName(placed.module), Float32Array.from(norms(placed))]]);
  }

  hooks(run: PeftRun): ForwardHooks {
    const active = this.activeModules(run);
    return {
      linear: (name, x, y) => {
        const found = active(name);
        if (!found) return y;
        const { module, index } = found;
        const drops = run.random !== undefined && this.config.dropout > 0;
        const input = drops ? dropout(x, this.config.dropout, DROPOUT_STREAM + index, run.random) : x;
        const scale = div(run.parameter(magnitudeName(module)), norm(run, module));
        const projected = drops
          ? matmul(input, run.weight(`${name}.weight`), { transposeB: true })
          : withoutBias(run, name, y);
        const delta = add(mul(projected, sub(scale, 1)), mul(loraDelta(run, module, input), scale));
        run.onDelta?.(module, delta, y);
        return add(y, delta);
      },
    };
  }

  /** m/‖W + ΔW‖ ∘ (W + ΔW); a row of zeros stays one. */
  merge(module: PeftModule, values: StateDict, weight: Float32Array, direction: Direction): Float32Array {
    if (direction === 'unmerge') {
      const why = 'merging forgets the norm of its weight; use the original base';
      throw new UserError(`${module.name}: DoRA cannot be taken out again: ${why}`);
    }
    const magnitude = valueOf(values, magnitudeName(module));
    const merged = new Float32Array(weight.length);
    for (let o = 0; o < module.outFeatures; o++) {
      const row = sumRow(module, values, weight, o);
      const length = lengthOf(row);
      const scale = length === 0 ? 0 : magnitude[o]! / length;
      row.forEach((w, i) => (merged[o * module.inFeatures + i] = scale * w));
    }
    return merged;
  }

  onSlice(whole: PlacedModule, cut: PlacedModule): Map<string, Float32Array> {
    const name = magnitudeName(cut.module);
    const [before, after] = [norms(whole), norms(cut)];
    const scaled = valueOf(cut.values, name).map((m, o) => (m * after[o]!) / before[o]!);
    return new Map([[name, scaled]]);
  }
}

function magnitudeName({ name }: PeftModule): string {
  return `${name}.lora_magnitude_vector`;
}

function withoutBias(run: PeftRun, name: string, y: Tensor): Tensor {
  const bias = run.bias(name);
  return bias ? sub(y, bias) : y;
}

/** Far below what a sum of squares can tell: a row of zeros has magnitude 0, and must give 0, not 0 / 0. */
const TINY = 1e-30;

/** ‖W + scaling·B·A‖ of each row, masked ranks left out, as a constant: f32 [out]. */
function norm(run: PeftRun, module: PeftModule): Tensor {
  const names = loraNames(module);
  const mask = run.rankMask?.(module);
  const down = run.parameter(names.down);
  const ranks = mask ? mul(down, reshape(mask, [module.ranks, 1])) : down;
  const delta = mul(matmul(run.parameter(names.up), ranks), module.scaling);
  const squares = sumLast(square(add(run.weight(`${module.name}.weight`), delta)));
  return stopGradient(sqrt(add(squares, TINY)));
}

function sumRow(module: PeftModule, values: StateDict, weight: Float32Array, out: number): Float64Array {
  const start = out * module.inFeatures;
  return deltaRow(module, values, out).map((d, i) => d + weight[start + i]!);
}

/** ‖W + scaling·B·A‖ of each row in float64. */
function norms({ module, values, weight }: PlacedModule): number[] {
  return Array.from({ length: module.outFeatures }, (_, o) => lengthOf(sumRow(module, values, weight, o)));
}

function lengthOf(row: Float64Array): number {
  return Math.sqrt(row.reduce((sum, w) => sum + w * w, 0));
}
