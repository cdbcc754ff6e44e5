/**
 * Room: peft/bottleneck. Bottleneck adapters after the output projections of each layer: residual + scale·up(act(down(x))). What x and
 * the residual are tells the kinds apart (y the projection's output, i the sublayer's input, which is added to it next):
 *
 * - sequential (Houlsby et al. 2019; AdapterHub's `double_seq_bn`): x = y, residual y, after attention and FFN;
 * - Pfeiffer et al. 2020 (`seq_bn`): x = LayerNorm(y + i), residual y, after the FFN alone;
 * - parallel (He et al. 2022; `par_bn`): x = i, residual y, beside the FFN.
 */
import type { Tensor } from '../../engine/graph/tensor.ts';
import { add, dropout, mul } from '../../engine/ops/elementwise.ts';
import { maskColumns } from '../../engine/ops/mask.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { activation } from '../../models/transformer.ts';
import type { ForwardHooks } from '../../models/forward-hooks.ts';
import { ModuleMethod } from '../method-base.ts';
import { uniformIn, type Axis, type Rng, type Factor, type PeftModule, type PeftRun } from '../module.ts';
import type { BottleneckConfig } from './config.ts';

const DROPOUT_STREAM = 2000;

export class Bottleneck extends ModuleMethod<BottleneckConfig> {
  override readonly adaptsLinear = false;

  factors({ name }: PeftModule): Factor[] {
    const { biases, scaling } = this.config;
    const names = bottleneckNames(name);
    const one = (parameter: string, axes: readonly Axis[], present = true): Factor[] =>
      present ? [{ name: parameter, axes }] : [];
    return [
      ...one(names.downBias, ['rank'], biases),
      ...one(names.down, ['rank', 'in']),
      ...one(names.upBias, ['out'], biases),
      ...one(names.up, ['out', 'rank']),
      ...one(names.scaling, [scaling === 'channel' ? 'out' : 'one'], typeof scaling !== 'number'),
    ];
  }

  initParameters(module: PeftModule, draw: Rng): Map<string, Float32Array> {
    const { ranks, inFeatures, outFeatures } = module;
    const names = bottleneckNames(module.name);
    const { init, scaling, biases } = this.config;
    const deviation = init === 'bert' ? 0.02 : 0.01;
    const normal = (n: number): Float32Array =>
      Float32Array.from({ length: n }, () => deviation * (init === 'bert' ? draw.normal() : truncated(draw)));
    const kaiming = init === 'mam_adapter';
    const down = kaiming ? uniformIn(1 / Math.sqrt(inFeatures), ranks * inFeatures, draw) : normal(ranks * inFeatures);
    const up = kaiming ? new Float32Array(outFeatures * ranks) : normal(outFeatures * ranks);
    const values = new Map([
      [names.down, down],
      [names.up, up],
    ]);
    if (biases) values.set(names.downBias, new Float32Array(ranks)).set(names.upBias, new Float32Array(outFeatures));
    if (scaling === 'learned') values.set(names.scaling, Float32Array.of(1));
    if (scaling === 'channel') values.set(names.scaling, new Float32Array(outFeatures).fill(1));
    return values;
  }

  hooks(run: PeftRun): ForwardHooks {
    const active = this.activeModules(run);
    const { parallel, normBefore, residual } = this.config;
    return {
      sublayer: (name, y, input, normed) => {
        const found = active(name);
        if (!found) return y;
        const sequential = normBefore ? normed() : y;
        const delta = this.#delta(run, found.module, parallel ? input : sequential, DROPOUT_STREAM + found.index);
        const elsewhere = normBefore && !parallel && residual !== true;
        const base = elsewhere ? (residual === 'post_add' ? add(y, input) : sequential) : y;
        run.onDelta?.(found.module, delta, base);
        return add(base, delta);
      },
    };
  }

  /** scale·up(act(down(x))), biases and dropout included. */
  #delta(run: PeftRun, module: PeftModule, x: Tensor, stream: number): Tensor {
    const { dropout: rate, dropoutPlace, nonLinearity, scaling, biases } = this.config;
    const names = bottleneckNames(module.name);
    const drop = (t: Tensor, place: typeof dropoutPlace): Tensor =>
      run.random && place === dropoutPlace ? dropout(t, rate, stream, run.random) : t;
    const project = (t: Tensor, weight: string, bias: string): Tensor => {
      const product = matmul(t, run.parameter(weight), { transposeB: true });
      return biases ? add(product, run.parameter(bias)) : product;
    };
    const down = activation(nonLinearity)(project(drop(x, 'input'), names.down, names.downBias));
    run.onBottleneck?.(module, down);
    const mask = run.rankMask?.(module);
    const up = project(mask ? maskColumns(down, mask) : down, names.up, names.upBias);
    return drop(mul(up, typeof scaling === 'number' ? scaling : run.parameter(names.scaling)), 'output');
  }
}

interface BottleneckNames {
  readonly down: string;
  readonly downBias: string;
  readonly up: string;
  readonly upBias: string;
  readonly scaling: string;
}

export function bottleneckNames(name: string): BottleneckNames {
  return {
    down: `${name}.adapter_down.weight`,
    downBias: `${name}.adapter_down.bias`,
    up: `${name}.adapter_up.weight`,
    upBias: `${name}.adapter_up.bias`,
    scaling: `${name}.adapter_scaling`,
  };
}

/** Standard normal within ±2. */
function truncated(draw: Rng): number {
  for (;;) {
    const x = draw.normal();
    if (Math.abs(x) <= 2) return x;
  }
}
