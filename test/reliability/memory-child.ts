/**
 * Tests only: loads a model folder in a process of its own and says in JSON how much host memory that took; with `step`, also
 * runs the model and takes one LoRA step. On a software adapter the device's memory is the host's, so it is taken off.
 */
import { Engine } from '../../engine/engine.ts';
import { loadBaseModel } from '../../models/base-model.ts';
import { loadConfig } from '../../models/config.ts';
import { loraConfig } from '../../peft/create-config.ts';
import { getPeftModel } from '../../peft-model/create.ts';
import { infer } from '../../train/evaluate.ts';
import { train } from '../../train/train.ts';

/** Bytes. */
export interface MemoryReport {
  /** Most host memory while loading, over what there was before, without the device's. */
  readonly loading: number;
  /** Weights on the device, and the word embedding of an f16 file on the host. */
  readonly device: number;
  readonly hostTable: number;
  readonly seconds: number;
  readonly software: boolean;
  readonly step?: {
    readonly logits: readonly number[];
    readonly loss: number;
    /** Device bytes: planned before the step, and the most allocated; and the process's growth with everything in it. */
    readonly planned: number;
    readonly allocated: number;
    readonly process: number;
    readonly seconds: number;
  };
}

const [dir, mode] = process.argv.slice(2) as [string, string | undefined];
const peak = (): number => process.resourceUsage().maxRSS * 1024;

const engine = await Engine.open();
const { software } = engine.adapter;
const config = await loadConfig(dir);
const before = process.memoryUsage().rss;
const weights = mode === 'f32' ? 'f32' : 'f16';
const started = performance.now();
const base = await loadBaseModel(engine, dir, { weights, head: 'classification' });
await engine.finish();
const seconds = (performance.now() - started) / 1000;
const device = engine.memory.current;
const loading = peak() - before - (software ? device : 0);
const hostTable = 2 * (base.wordEmbedding?.size ?? 0);
const step = mode === 'step' ? await takeStep() : undefined;
const report: MemoryReport = { loading, device, hostTable, seconds, software, ...(step && { step }) };
console.log(JSON.stringify(report));
engine.close();

async function takeStep(): Promise<MemoryReport['step']> {
  const start = performance.now();
  const peft = loraConfig({ targetModules: ['q_proj', 'v_proj'], dropout: 0 });
  const model = await getPeftModel(engine, base, peft, { head: 'classification', labels: ['0', '1'] });
  const examples = [0, 1].map((label) => {
    const ids = Int32Array.from({ length: 32 }, (_, i) => 4 + ((i * 977 + label * 31) % (config.vocabSize - 4)));
    return { ids, mask: new Int32Array(32).fill(1), typeIds: new Int32Array(32), label };
  });
  const { logits } = await infer(model, examples);
  const result = await train(model, examples, { batchSize: 2, steps: 1, shuffle: false });
  return {
    logits: [...logits],
    loss: result.loss[0]!,
    planned: Object.values(result.memoryByKind).reduce((sum, bytes) => sum + bytes, 0),
    allocated: result.peakBytes,
    process: peak() - before,
    seconds: (performance.now() - start) / 1000,
  };
}
