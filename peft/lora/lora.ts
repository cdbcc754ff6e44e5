/** Room: peft/lora. Low-rank adaptation of linear layers (Hu et al. 2022): y += (α/r)·B·A·dropout(x). */
import { add, dropout } from '../../engine/ops/elementwise.ts';
import type { Intervention } from '../../models/intervention.ts';
import type { Direction, Draw, Factor, PeftMethod, PeftModule, PeftRun, Values } from '../module.ts';
import type { LoraConfig } from './config.ts';
import { deltaRow, freshLora, loraDelta, loraFactors } from './delta.ts';

/** Random streams of the dropouts of LoRA and DoRA start here; the model's own are below. */
export const DROPOUT_STREAM = 1000;

export class Lora implements PeftMethod {
  readonly config: LoraConfig;
  readonly modules: readonly PeftModule[];
  readonly attached = true;

  constructor(config: LoraConfig, modules: readonly PeftModule[]) {
    this.config = config;
    this.modules = modules;
  }

  withModules(modules: readonly PeftModule[]): Lora {
    return new Lora(this.config, modules);
  }

  factors(module: PeftModule): Factor[] {
    return loraFactors(module);
  }

  fresh(module: PeftModule, draw: Draw): Map<string, Float32Array> {
    return freshLora(module, this.config, draw);
  }

  intervention(run: PeftRun): Intervention {
    const byName = new Map(this.modules.map((module, i) => [module.name, { module, stream: DROPOUT_STREAM + i }]));
    return {
      linear: (name, x, y) => {
        const found = byName.get(name);
        if (!found || run.isActive?.(found.module) === false) return y;
        const { module, stream } = found;
        const input = run.random ? dropout(x, this.config.dropout, stream, run.random) : x;
        const delta = loraDelta(run, module, input);
        run.probe?.(module, delta, y);
        return add(y, delta);
      },
    };
  }

  /** W ± scaling·B·A. */
  merge(module: PeftModule, values: Values, weight: Float32Array, direction: Direction): Float32Array {
    const sign = direction === 'merge' ? 1 : -1;
    const sum = new Float32Array(weight.length);
    for (let o = 0; o < module.outFeatures; o++) {
      const at = o * module.inFeatures;
      deltaRow(module, values, o).forEach((d, i) => (sum[at + i] = (weight[at + i] as number) + sign * d));
    }
    return sum;
  }
}
