/**
 * Room: bench/children. A process of its own that compiles one LoRA step and runs it, for timing with a cold or a warm cache on disk:
 * `compile.ts FOLDER BATCH SEQ` prints one JSON object. A driver may leave compilation to the first run, so that is timed too.
 */
import { Engine } from '../../engine/engine.ts';
import { toPeftModel } from '../../peft-model/assembly.ts';
import { trainOptions } from '../../train/stages.ts';
import { TrainingSteps } from '../../train/trainer.ts';
import { benchSettings, openPeft, randomBatch } from '../encoder/model.ts';

const [folder = '', batch, seq] = process.argv.slice(2);
const engine = await Engine.open();
const settings = benchSettings();
const classifier = toPeftModel(engine, await openPeft(engine, folder, settings));
const steps = new TrainingSteps(classifier, trainOptions(settings, 1, {}));
const data = randomBatch(classifier.base.config, Number(batch), Number(seq));
await engine.finish();
const started = performance.now();
const program = await steps.program(data);
const compiled = performance.now();
program.run(steps.inputs(0, data));
await engine.finish();
const seconds = { compile: (compiled - started) / 1000, firstRun: (performance.now() - compiled) / 1000 };
process.stdout.write(JSON.stringify({ ...seconds, pipelines: engine.pipelines.built }));
engine.close();
