/**
 * Room: examples. Light-PEFT in 30 lines: estimate importance, decide, prune base and modules, fine-tune what is left.
 *
 *     npx tsx examples/light-peft.ts [STEPS]
 */
import { decide, Engine, estimate, evaluate, getPeftModel, loadModel, loraConfig, prune, train } from 'light-peft';
import { loadData } from 'light-peft/data';

const steps = Number(process.argv[2] ?? 200);
const options = { batchSize: 16, lr: 1.5e-3 };
using engine = await Engine.open();
const checkpoint = await loadModel('checkpoints/light-roberta');
const data = await loadData(checkpoint, { task: 'sentiment' }, { maxLength: 24, maxEvalExamples: 500 });
using model = await getPeftModel(engine, checkpoint, loraConfig({ r: 8 }), { labels: data.labels });
const before = model.base.blockParameterCount;

const scores = await estimate(model, data.train, { ...options, steps: Math.max(2, steps / 4) });
const decision = decide(scores, { heads: 1 / 3, neurons: 0.45, modules: 0.25, ranks: 0.58 });
using pruned = await prune(model, decision); // model's buffers went into pruned
const left = pruned.base.blockParameterCount / before;
console.log(`${(100 * left).toFixed(0)} % of the blocks are left`);

const { tokensPerSecond } = await train(pruned, data.train, { ...options, steps });
console.log((await evaluate(pruned, data.eval)).metrics, `${Math.round(tokensPerSecond)} tokens/s`);
await pruned.savePretrained('out/example-light-peft'); // with plan.json: base and folder make the pruned model again
