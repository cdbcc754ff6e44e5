/** Room: peft/lora. Low-rank adaptation of linear layers (Hu et al. 2022): y += (α/r)·B·A·dropout(x). */
import { add, dropout, mul } from '../../engine/ops/elementwise.ts';
import { maskColumns } from '../../engine/ops/mask.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import type { Intervention } from '../../models/intervention.ts';
import { factorNames } from '../config.ts';
import type { PeftMethod, PeftModule, PeftRun } from '../module.ts';

/** Random streams of LoRA's dropouts start here; the model's own are below. */
const DROPOUT_STREAM = 1000;

export class Lora implements PeftMethod {
  readonly modules: readonly PeftModule[];
  readonly dropout: number;

  constructor(modules: readonly PeftModule[], dropoutRate: number) {
    this.modules = modules;
    this.dropout = dropoutRate;
  }

  withModules(modules: readonly PeftModule[]): Lora {
    return new Lora(modules, this.dropout);
  }

  factors({ name }: PeftModule): { down: string; up: string } {
    return factorNames(name, 'lora');
  }

  intervention(run: PeftRun): Intervention {
    const byName = new Map(this.modules.map((module, i) => [module.name, { module, stream: DROPOUT_STREAM + i }]));
    return {
      linear: (name, x, y) => {
        const found = byName.get(name);
        if (!found) return y;
        const { module, stream } = found;
        const names = this.factors(module);
        const input = run.random ? dropout(x, this.dropout, stream, run.random) : x;
        const down = mul(matmul(input, run.parameter(names.down), { transposeB: true }), module.scaling);
        const mask = run.rankMask?.(module);
        const ranks = mask ? maskColumns(down, mask) : down;
        const delta = matmul(ranks, run.parameter(names.up), { transposeB: true });
        run.probe?.(module, delta, y);
        return add(y, delta);
      },
    };
  }
}
