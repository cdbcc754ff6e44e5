/**
 * Room: bench/children. A process of its own that compiles one LoRA step and runs it, for timing with a cold or a warm cache on disk:
 * `compile.ts FOLDER BATCH SEQ` prints one JSON object. A driver may leave compilation to the first run, so that is timed too.
 */
import { Engine } from '../../engine/engine.ts';
import { benchOptions, openPeft, randomBatch } from '../encoder/model.ts';
import { trainingSteps } from '../encoder/steps.ts';

const [folder = '', batch, seq] = process.argv.slice(2);
const engine = await Engine.open();
const options = benchOptions();
const model = await openPeft(engine, folder, options);
const steps = trainingSteps(model, options);
const data = randomBatch(model.base.config, Number(batch), Number(seq));
await engine.finish();
const started = performance.now();
const program = await steps.program(data);
const compiled = performance.now();
program.run(steps.inputs(0, data));
await engine.finish();
const seconds = { compile: (compiled - started) / 1000, firstRun: (performance.now() - compiled) / 1000 };
process.stdout.write(JSON.stringify({ ...seconds, pipelines: engine.pipelines.built }));
engine.close();
