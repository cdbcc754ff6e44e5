/**
 * Tests only: `npm run large`. Writes a folder of 1.3 billion random parameters (the shapes of OPT-1.3B, f16, in shards), loads it in a
 * process of its own, runs it, takes one LoRA step, and removes it. Needs 3 GB of disk and, on a software adapter, 5 GB of memory.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BESIDE_LARGEST, measureMemory } from './measure-memory.ts';
import { writeRandomFolder } from './random-folder.ts';

const OPT_1_3B = {
  model_type: 'opt',
  vocab_size: 50_272,
  hidden_size: 2048,
  word_embed_proj_dim: 2048,
  num_hidden_layers: 24,
  num_attention_heads: 32,
  ffn_dim: 8192,
  max_position_embeddings: 2048,
  pad_token_id: 1,
};

/** Bytes of the process beside planned buffers and host table: the rasteriser's compiler and code, JavaScript, what loading took. */
const BESIDE_PLAN = 512e6;

const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
const faults: string[] = [];
const expectThat = (holds: boolean, what: string): unknown => holds || faults.push(what);

const dir = await mkdtemp(join(tmpdir(), 'light-peft-large-'));
try {
  const started = performance.now();
  const { parameters, bytes, largest } = await writeRandomFolder(dir, OPT_1_3B, 500e6);
  const seconds = (performance.now() - started) / 1000;
  console.log(
    `Written: ${(parameters / 1e9).toFixed(3)} billion parameters, ${mb(bytes)}, largest tensor ${mb(largest)}, ${seconds.toFixed(0)} s, host peak ${mb(process.resourceUsage().maxRSS * 1024)}`,
  );
  const { loading, device, hostTable, seconds: load, software, step } = await measureMemory(dir, 'step');
  const { logits, loss, planned, allocated, process: grown, seconds: stepSeconds } = step!;
  console.log(
    `Loaded in ${load.toFixed(1)} s: ${mb(device)} on the device, ${mb(hostTable)} on the host; host peak while loading ${mb(loading)} (limit ${mb(largest + BESIDE_LARGEST)})`,
  );
  console.log(`Ran: logits ${logits.map((x) => x.toFixed(4)).join(' ')}`);
  console.log(
    `LoRA step: loss ${loss.toFixed(4)}; planned ${mb(planned)}, allocated at most ${mb(allocated)}; the process grew by ${mb(grown)}; ${stepSeconds.toFixed(0)} s with compilation`,
  );
  expectThat(parameters > 1.3e9, 'not 1.3 billion parameters');
  expectThat(loading <= largest + BESIDE_LARGEST, 'loading took too much host memory');
  expectThat(logits.every(Number.isFinite) && Number.isFinite(loss), 'numbers that are not finite');
  expectThat(allocated <= planned, 'more allocated than planned');
  if (software) expectThat(grown - planned - hostTable <= BESIDE_PLAN, 'the process took more than was planned');
} finally {
  await rm(dir, { recursive: true, force: true });
}
for (const fault of faults) console.log(`FAULT: ${fault}`);
process.exitCode = faults.length === 0 ? 0 : 1;
