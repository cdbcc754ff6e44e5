/**
 * Room: bench/gpu. The benchmark of a GPU: checks and times products and LoRA steps, beside PyTorch on the same card where
 * python3 has it, and prints one table last. What could not be measured says why. `--small` tries all of it anywhere; `--tune`
 * chooses the kernels of the steps by timing first.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { Engine } from '../../engine/engine.ts';
import { cacheFile, TuningCache } from '../../engine/tune/tuning-cache.ts';
import { Tuner } from '../../engine/tune/tuner.ts';
import { bytes, measure, times } from '../../report/numbers.ts';
import { plainTable } from '../../report/plain-table.ts';
import { PUBLISHED, type Published } from '../encoder/published.ts';
import { timeProducts, type ProductResult } from './products.ts';
import { timeSteps, type StepResult } from './steps.ts';

const { values: flags } = parseArgs({
  options: { small: { type: 'boolean' }, tune: { type: 'boolean' }, peer: { type: 'string' } },
});

const TINY: Published = {
  ...{ name: 'tiny encoder', family: 'roberta', positions: 16 },
  ...{ layers: 2, hidden: 64, heads: 4, neurons: 128, vocab: 200 },
};

const WORK = flags.small
  ? { side: 160, shapes: [TINY], batch: 2, seq: 16, runs: 3, ratios: [0, 1 / 2] }
  : { side: 4096, shapes: PUBLISHED.slice(1), batch: 32, seq: 128, runs: 7, ratios: [0, 1 / 3, 1 / 2] };

const peerSchema = z.object({
  missing: z.string().optional(),
  version: z.string().optional(),
  ...{ productF32: z.number().optional(), productF16: z.number().optional() },
  ...{ productF32Missing: z.string().optional(), productF16Missing: z.string().optional() },
  ...{ stepF32Missing: z.string().optional(), stepBf16Missing: z.string().optional() },
  stepF32: z.object({ tokensPerSecond: z.number(), peakBytes: z.number() }).optional(),
  stepBf16: z.object({ tokensPerSecond: z.number(), peakBytes: z.number() }).optional(),
});

type Peer = z.infer<typeof peerSchema>;

/** One line of the table: what, ours, the peer's, and ours over it. */
type Row = readonly [what: string, own: string, peer: string, ratio: string];

function runPeer(): Peer {
  if (flags.peer === undefined) return { missing: 'not asked for' };
  const { layers, hidden, heads, neurons, vocab } = WORK.shapes[0]!;
  const numbers = [WORK.side, layers, hidden, heads, neurons, vocab, WORK.batch, WORK.seq].map(String);
  const { stdout, error, stderr } = spawnSync('python3', [flags.peer, ...numbers], { encoding: 'utf8' });
  if (error) return { missing: error.message };
  try {
    return peerSchema.parse(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''));
  } catch {
    return { missing: `python3 failed: ${stderr.trim().split('\n').at(-1) ?? 'no output'}` };
  }
}

function log(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** A failure becomes a line of the table: the others still count. */
async function attempt(rows: Row[], what: string, work: () => Promise<readonly Row[]>): Promise<void> {
  log(what);
  try {
    rows.push(...(await work()));
  } catch (error) {
    rows.push([what, `failed: ${(error as Error).message.split('\n')[0]}`, '', '']);
  }
}

function productRows(what: string, results: readonly ProductResult[], peer: number | undefined, why: string): Row[] {
  for (const { variant, rate, fault } of results) log(`  ${variant}: ${fault ?? `${measure(rate / 1e9)} GFLOP/s`}`);
  const wrong = results.filter(({ fault }) => fault !== undefined).length;
  const best = results.reduce((a, b) => (b.rate > a.rate ? b : a));
  const standard = results.find(({ isDefault }) => isDefault)!;
  const row = (label: string, { variant, rate }: ProductResult): Row => [
    `${what}, ${label} (${variant})`,
    `${measure(rate / 1e9)} GFLOP/s`,
    peer === undefined ? why : `${measure(peer / 1e9)} GFLOP/s`,
    peer === undefined ? '' : times(rate / peer),
  ];
  const checked = `${results.length - wrong} of ${results.length} variants right`;
  return [row('default', standard), row('best', best), [`${what}, checked`, checked, '', '']];
}

function stepText({ batch, tokensPerSecond, peakBytes }: StepResult): string {
  return `${measure(tokensPerSecond)} tokens/s, ${bytes(peakBytes)}${batch < WORK.batch ? `, batch ${batch}` : ''}`;
}

async function stepRows(engine: Engine, kind: string, peer: Peer['stepF32'], why: string): Promise<Row[]> {
  const [shape] = WORK.shapes as [Published];
  const result = await timeSteps(engine, shape, { ...WORK, ratio: 0 });
  const beside = peer ? `${measure(peer.tokensPerSecond)} tokens/s, ${bytes(peer.peakBytes)}` : why;
  const ratio = peer ? times(result.tokensPerSecond / peer.tokensPerSecond) : '';
  return [[`LoRA step, ${shape.name}, ${kind}`, stepText(result), beside, ratio]];
}

/** Pruned beside whole; the ideal is the ratio of block parameters. */
async function pruningRows(engine: Engine, shape: Published): Promise<Row[]> {
  const rows: Row[] = [];
  let whole: StepResult | undefined;
  let { batch } = WORK;
  for (const ratio of WORK.ratios) {
    const result = await timeSteps(engine, shape, { ...WORK, batch, ratio });
    whole ??= result;
    batch = whole.batch;
    const ideal = times(whole.blockParameters / result.blockParameters);
    const what = `Light-PEFT, ${shape.name}, ratio ${ratio.toFixed(2)}`;
    const gain = result.tokensPerSecond / whole.tokensPerSecond;
    const inferGain = result.inferTokensPerSecond / whole.inferTokensPerSecond;
    rows.push([`${what}, training`, stepText(result), `ideal ${ideal}`, times(gain)]);
    rows.push([
      `${what}, inference`,
      `${measure(result.inferTokensPerSecond)} tokens/s`,
      `ideal ${ideal}`,
      times(inferGain),
    ]);
  }
  return rows;
}

async function withEngine<T>(allowF16Matmul: boolean, work: (engine: Engine) => Promise<T>): Promise<T> {
  const engine = await Engine.open({ allowF16Matmul });
  try {
    if (flags.tune) {
      const cache = await TuningCache.load(cacheFile(), engine.adapter);
      engine.selectConfig = cache.selectConfig;
      engine.tuner = new Tuner(engine, cache, log);
    }
    return await work(engine);
  } finally {
    engine.close();
  }
}

async function main(): Promise<void> {
  const peer = runPeer();
  const why = (own: string | undefined): string => `missing: ${peer.missing ?? own ?? 'not measured'}`;
  const rows: Row[] = [];
  const side = `${WORK.side}³`;
  const about = await withEngine(false, async (engine) => {
    const { adapter, traits } = engine;
    await attempt(rows, `f32 product ${side}`, async () =>
      productRows(
        `f32 product ${side}`,
        await timeProducts(engine, WORK.side, 'f32'),
        peer.productF32,
        why(peer.productF32Missing),
      ),
    );
    await attempt(rows, `f16 product ${side}`, async () =>
      traits.matrix
        ? productRows(
            `f16 product ${side}`,
            await timeProducts(engine, WORK.side, 'f16'),
            peer.productF16,
            why(peer.productF16Missing),
          )
        : [[`f16 product ${side}`, 'no matrix units on this adapter', why(peer.productF16Missing), '']],
    );
    await attempt(rows, 'LoRA step, f32', () => stepRows(engine, 'f32', peer.stepF32, why(peer.stepF32Missing)));
    for (const shape of WORK.shapes) await attempt(rows, `Light-PEFT, ${shape.name}`, () => pruningRows(engine, shape));
    const { syntax, ...shape } = traits.matrix ?? { syntax: undefined };
    const matrix = syntax ? `${JSON.stringify(shape)}, spelt with ${syntax.name}` : 'none';
    return { adapter, matrix };
  });
  const [what, beside] = ['LoRA step, f16 products', why(peer.stepBf16Missing)];
  if (about.matrix === 'none') rows.push([what, 'no matrix units on this adapter', beside, '']);
  else
    await attempt(rows, what, () =>
      withEngine(true, (engine) => stepRows(engine, 'f16 products', peer.stepBf16, beside)),
    );
  const { device, description } = about.adapter;
  process.stdout.write(
    `\nAdapter ${device}, driver ${description}; matrix units: ${about.matrix}\n` +
      `Peer ${peer.version ?? `missing: ${peer.missing ?? ''}`}; bf16 is set beside f16 products\n` +
      `Date ${new Date().toISOString().slice(0, 10)}, Node ${process.version}\n` +
      `${plainTable(['', 'here', 'beside', 'ratio'], rows)}\n`,
  );
}

await main();
