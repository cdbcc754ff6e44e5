/** Room: peft. The method that a configuration names, with given modules. */
import { Bottleneck } from './bottleneck/bottleneck.ts';
import type { PeftConfig } from './config.ts';
import { Dora } from './dora/dora.ts';
import { Ia3 } from './ia3/ia3.ts';
import { Lora } from './lora/lora.ts';
import type { PeftMethod, PeftModule } from './module.ts';

export function methodOf(config: PeftConfig, modules: readonly PeftModule[]): PeftMethod {
  switch (config.method) {
    case 'lora':
      return new Lora(config, modules);
    case 'dora':
      return new Dora(config, modules);
    case 'ia3':
      return new Ia3(config, modules);
    case 'bottleneck':
      return new Bottleneck(config, modules);
  }
}
