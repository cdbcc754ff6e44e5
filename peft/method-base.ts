/** Room: peft. What every method of modules has in common: configuration, modules by name, the ones that take part in a run. */
import type { ForwardHooks } from '../models/forward-hooks.ts';
import type { CommonConfig } from './keys.ts';
import type { Factor, PeftMethod, PeftModule, PeftRun, Rng } from './module.ts';

/** A method whose modules are found by the name of their layer; extend it to write one. */
export abstract class ModuleMethod<C extends CommonConfig> implements PeftMethod {
  /** What it was made from. */
  readonly config: C;
  readonly modules: readonly PeftModule[];
  readonly adaptsLinear: boolean = true;

  constructor(config: C, modules: readonly PeftModule[]) {
    this.config = config;
    this.modules = modules;
  }

  abstract factors(module: PeftModule): readonly Factor[];
  abstract initParameters(module: PeftModule, draw: Rng): Map<string, Float32Array>;
  abstract hooks(run: PeftRun): ForwardHooks;

  withModules(modules: readonly PeftModule[]): PeftMethod {
    const Method = this.constructor as new (config: C, modules: readonly PeftModule[]) => this;
    return new Method(this.config, modules);
  }

  /** Finds the module on a layer, with its place among all, where it takes part in a run. */
  protected activeModules(run: PeftRun): (name: string) => { module: PeftModule; index: number } | undefined {
    const byName = new Map(this.modules.map((module, index) => [module.name, { module, index }]));
    return (name) => {
      const found = byName.get(name);
      return found && run.isActive?.(found.module) !== false ? found : undefined;
    };
  }
}
