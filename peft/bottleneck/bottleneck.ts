/**
 * Room: peft/bottleneck. Bottleneck adapters on the two output projections of each layer: sequential (Houlsby et al. 2019),
 * x + scale·up(act(down(x))) on the projection's output, or parallel (He et al. 2022), fed by the sublayer's input.
 */
import { add, dropout, mul } from '../../engine/ops/elementwise.ts';
import { maskColumns } from '../../engine/ops/mask.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import type { Activation } from '../../models/architecture.ts';
import { activation } from '../../models/transformer.ts';
import type { Intervention } from '../../models/intervention.ts';
import { factorNames } from '../config.ts';
import type { PeftMethod, PeftModule, PeftRun } from '../module.ts';

const DROPOUT_STREAM = 2000;

export interface BottleneckOptions {
  readonly nonLinearity: Activation;
  readonly dropout: number;
  /** Reads the sublayer's input instead of the projection's output. */
  readonly parallel: boolean;
}

export class Bottleneck implements PeftMethod {
  readonly modules: readonly PeftModule[];
  readonly options: BottleneckOptions;

  constructor(modules: readonly PeftModule[], options: BottleneckOptions) {
    this.modules = modules;
    this.options = options;
  }

  withModules(modules: readonly PeftModule[]): Bottleneck {
    return new Bottleneck(modules, this.options);
  }

  factors({ name }: PeftModule): { down: string; up: string } {
    return factorNames(name, 'bottleneck');
  }

  intervention(run: PeftRun): Intervention {
    const byName = new Map(this.modules.map((module, i) => [module.name, { module, stream: DROPOUT_STREAM + i }]));
    const { parallel, nonLinearity, dropout: rate } = this.options;
    return {
      sublayer: (name, y, input) => {
        const found = byName.get(name);
        if (!found) return y;
        const { module, stream } = found;
        const names = this.factors(module);
        const source = parallel ? input : y;
        const dropped = run.random ? dropout(source, rate, stream, run.random) : source;
        const down = activation(nonLinearity)(matmul(dropped, run.parameter(names.down), { transposeB: true }));
        const mask = run.rankMask?.(module);
        const scaled = mul(mask ? maskColumns(down, mask) : down, module.scaling);
        const delta = matmul(scaled, run.parameter(names.up), { transposeB: true });
        run.probe?.(module, delta, y);
        return add(y, delta);
      },
    };
  }
}
