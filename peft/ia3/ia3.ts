/**
 * Room: peft/ia3. (IA)³ (Liu et al. 2022): one trained vector per module scales a linear layer's output, or, for modules of the
 * feed-forward network, its input. There are no ranks; pruning drops whole modules.
 */
import { UserError } from '../../engine/errors.ts';
import { mul, sub } from '../../engine/ops/elementwise.ts';
import { reshape } from '../../engine/ops/leaf.ts';
import type { ForwardHooks } from '../../models/forward-hooks.ts';
import { ModuleMethod } from '../method-base.ts';
import {
  valueOf,
  type Direction,
  type Rng,
  type Factor,
  type PeftModule,
  type PeftRun,
  type StateDict,
} from '../module.ts';
import { isFeedforward, type Ia3Config } from './config.ts';

export class Ia3 extends ModuleMethod<Ia3Config> {
  factors({ name }: PeftModule): Factor[] {
    return [{ name: vectorName(name), axes: isFeedforward(name, this.config) ? ['one', 'in'] : ['out', 'one'] }];
  }

  initParameters(module: PeftModule, draw: Rng): Map<string, Float32Array> {
    const size = isFeedforward(module.name, this.config) ? module.inFeatures : module.outFeatures;
    const vector = Float32Array.from({ length: size }, () => (this.config.init ? 1 : draw.normal()));
    return new Map([[vectorName(module.name), vector]]);
  }

  /** Δ is what scaling adds, of the output or of the input, as the module has it. */
  hooks(run: PeftRun): ForwardHooks {
    const active = this.activeModules(run);
    const scaled: NonNullable<ForwardHooks['input']> = (name, x) => {
      const found = active(name);
      if (!found) return x;
      const vector = run.parameter(vectorName(name));
      const product = mul(x, reshape(vector, [vector.size]));
      run.onDelta?.(found.module, sub(product, x), x);
      return product;
    };
    return {
      input: (name, x) => (isFeedforward(name, this.config) ? scaled(name, x) : x),
      linear: (name, _, y) => (isFeedforward(name, this.config) ? y : scaled(name, y)),
    };
  }

  merge(module: PeftModule, values: StateDict, weight: Float32Array, direction: Direction): Float32Array {
    const vector = factorsOf(module, values, direction);
    const { inFeatures } = module;
    if (isFeedforward(module.name, this.config)) return weight.map((w, i) => w * vector[i % inFeatures]!);
    return weight.map((w, i) => w * vector[Math.floor(i / inFeatures)]!);
  }

  mergeBias(module: PeftModule, values: StateDict, bias: Float32Array, direction: Direction): Float32Array {
    if (isFeedforward(module.name, this.config)) return bias;
    const vector = factorsOf(module, values, direction);
    return bias.map((b, o) => b * vector[o]!);
  }
}

/** What merging multiplies by. */
function factorsOf({ name }: PeftModule, values: StateDict, direction: Direction): Float64Array {
  const vector = Float64Array.from(valueOf(values, vectorName(name)));
  if (direction === 'merge') return vector;
  if (!vector.includes(0)) return vector.map((l) => 1 / l);
  throw new UserError(`${name}: (IA)³ scales a feature by 0, which cannot be undone; use the original base`);
}

function vectorName(name: string): string {
  return `${name}.ia3_l`;
}
