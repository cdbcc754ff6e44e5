/**
 * Room: examples. Fine-tunes LoRA on a data file, evaluates it, saves the adapter and loads it again.
 *
 *     npx tsx examples/lora.ts [STEPS]
 */
import { Engine, evaluate, getPeftModel, loadModel, loraConfig, PeftModel, train } from 'light-peft';
import { loadData } from 'light-peft/data';

const steps = Number(process.argv[2] ?? 200);
using engine = await Engine.open();
const checkpoint = await loadModel('checkpoints/light-roberta');

// Files of your own: { train: 'train.jsonl', eval: 'eval.jsonl' } with "text" and "label" in every line.
const data = await loadData(checkpoint, { task: 'sentiment' }, { maxLength: 24, maxEvalExamples: 500 });

const config = loraConfig({ r: 8, loraAlpha: 16, targetModules: ['query', 'value'] });
using model = await getPeftModel(engine, checkpoint, config, { labels: data.labels });
const { loss, tokensPerSecond, peakBytes } = await train(model, data.train, {
  steps,
  lr: 2e-3,
  batchSize: 16,
  warmupRatio: 0.06,
  onReport: (report) => console.log(`step ${report.step} of ${report.total}, loss ${report.loss.toFixed(4)}`),
});
const { metrics } = await evaluate(model, data.eval);
console.log(metrics, `last loss ${loss.at(-1)?.toFixed(4)}`);
console.log(`${Math.round(tokensPerSecond)} tokens/s, peak ${Math.round(peakBytes / 2 ** 20)} MiB`);

// The folder is PEFT's: adapter_config.json and adapter_model.safetensors.
await model.savePretrained('out/example-lora');
using again = await PeftModel.fromPretrained(engine, checkpoint, 'out/example-lora', { sharing: model });
console.log('loaded again:', (await evaluate(again, data.eval)).metrics);
