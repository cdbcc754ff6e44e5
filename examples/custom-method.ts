/**
 * Room: examples. A PEFT method of your own: a trained vector is added to the output of each target layer. With the registry it is
 * trained, saved, loaded, merged and pruned like the others.
 *
 *     npx tsx examples/custom-method.ts [STEPS]
 */
import { Engine, evaluate, getPeftModel, loadModel, ModuleMethod, PeftModel, registerMethod, train } from 'light-peft';
import type { Factor, ForwardHooks, PeftConfig, PeftModule, PeftRun, StateDict } from 'light-peft';
import { loadData } from 'light-peft/data';
import { add, reshape } from 'light-peft/engine';

class Shift extends ModuleMethod<PeftConfig> {
  factors({ name }: PeftModule): Factor[] {
    return [{ name: `${name}.shift`, axes: ['out', 'one'] }];
  }
  initParameters({ name, outFeatures }: PeftModule): Map<string, Float32Array> {
    return new Map([[`${name}.shift`, new Float32Array(outFeatures)]]);
  }
  hooks(run: PeftRun): ForwardHooks {
    const active = this.activeModules(run);
    return {
      linear: (name, _, y) => {
        if (!active(name)) return y;
        const shift = run.parameter(`${name}.shift`);
        return add(y, reshape(shift, [shift.size]));
      },
    };
  }
  merge = (_: PeftModule, __: StateDict, weight: Float32Array): Float32Array => weight;
  mergeBias({ name }: PeftModule, values: StateDict, bias: Float32Array, direction: string): Float32Array {
    const sign = direction === 'merge' ? 1 : -1;
    return bias.map((b, i) => b + sign * values.get(`${name}.shift`)![i]!);
  }
}

const common = { method: 'shift', dropout: 0, taskType: 'SEQ_CLS', baseModel: null, extra: {} };
const config: PeftConfig = { ...common, targetModules: ['query', 'value'], modulesToSave: ['classifier'] };
registerMethod('shift', {
  peftType: 'SHIFT',
  parse: (raw) => ({ ...config, targetModules: raw.target_modules as string[] }),
  json: ({ targetModules }) => ({ peft_type: 'SHIFT', task_type: 'SEQ_CLS', target_modules: targetModules }),
  configFor: (modules, given) => ({ ...given, targetModules: modules.map(({ name }) => name) }),
  ranks: () => 0,
  scaling: () => 1,
  create: (given: PeftConfig, modules) => new Shift(given, modules),
});

using engine = await Engine.open();
const checkpoint = await loadModel('checkpoints/light-roberta');
const data = await loadData(checkpoint, { task: 'sentiment' }, { maxLength: 24, maxEvalExamples: 500 });
using model = await getPeftModel(engine, checkpoint, config, { labels: data.labels });
await train(model, data.train, { steps: Number(process.argv[2] ?? 200), batchSize: 16, lr: 1e-2 });
console.log('trained:', (await evaluate(model, data.eval)).metrics);
await model.savePretrained('out/example-shift');
using again = await PeftModel.fromPretrained(engine, checkpoint, 'out/example-shift');
await again.merge();
console.log('loaded and merged:', (await evaluate(again, data.eval)).metrics);
