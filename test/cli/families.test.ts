/** Protects: the commands on checkpoints of every family: predictions of every head, and all stages from estimation to merging. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { runCommand } from '../../cli/program.ts';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { MODELS, tinyExamples, type Family } from '../train/tiny.ts';

const FAMILIES = join(import.meta.dirname, '..', 'goldens', 'families');

let dir: string;
const written: string[] = [];
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    written.push(String(text));
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    written.push(String(text));
    return true;
  });
});
afterAll(() => rm(dir, { recursive: true }));

/** Runs a command that must succeed. */
async function light(...args: string[]): Promise<void> {
  written.length = 0;
  expect(await runCommand(args), written.join('')).toBe(0);
}

type Nested = number | Nested[];

async function predictions(...args: string[]): Promise<Nested[]> {
  const out = join(dir, 'predictions.jsonl');
  await light('predict', '--max-length', '24', '--out', out, ...args);
  const lines = (await readFile(out, 'utf8')).trim().split('\n');
  return lines.map((line) => (JSON.parse(line) as { logits: Nested }).logits);
}

/** Values of a tensor as nested lists. */
function nested(values: ArrayLike<number>, shape: readonly number[]): Nested[] {
  const [n = 0, ...rest] = shape;
  const size = values.length / n;
  const flat = Array.from(values);
  const part = (i: number): number[] => flat.slice(i * size, (i + 1) * size);
  return Array.from({ length: n }, (_, i) => (rest.length === 0 ? flat[i]! : nested(part(i), rest)));
}

async function readNested(file: string, name: string): Promise<Nested[]> {
  const tensors = await openSafetensors(file);
  const values = await (name.startsWith('input') || name.startsWith('attention')
    ? tensors.readInt32(name)
    : tensors.readFloat32(name));
  const { shape } = tensors.info(name);
  await tensors.close();
  return nested(values, shape);
}

function expectClose(actual: Nested[], expected: Nested[]): void {
  const flat = (values: Nested[]): number[] => values.flatMap((v) => (Array.isArray(v) ? flat(v) : [v]));
  const [a, b] = [flat(actual), flat(expected)];
  expect(a.length).toBe(b.length);
  const scale = Math.max(...b.map(Math.abs));
  expect(Math.max(...a.map((x, i) => Math.abs(x - b[i]!))) / scale).toBeLessThan(1e-5);
}

describe.each(['bert-qa', 'roberta-choice'])('%s', (name) => {
  it('predict gives what transformers and PEFT give', async () => {
    const folder = join(FAMILIES, name);
    const ids = await readNested(join(folder, 'batch.safetensors'), 'input_ids');
    const masks = await readNested(join(folder, 'batch.safetensors'), 'attention_mask');
    const data = join(dir, `${name}.jsonl`);
    const lines = ids.map((row, i) => JSON.stringify({ input_ids: row, attention_mask: masks[i] }));
    await writeFile(data, lines.join('\n'));
    const adapter = join(folder, 'adapters', 'lora');
    const logits = await predictions('--model', join(folder, 'model'), '--adapter', adapter, '--data', data);
    const expected = await readNested(join(folder, 'logits.safetensors'), 'lora');
    // Where every token has scores, those of padding mean nothing.
    const tokens = (all: Nested[]): Nested[] =>
      all.map((row, i) =>
        (row as Nested[]).filter((scores, t) => !Array.isArray(scores) || (masks[i] as number[])[t] === 1),
      );
    expectClose(tokens(logits), tokens(expected));
  });

  it('predict runs several adapters on one base', async () => {
    const folder = join(FAMILIES, name);
    const [lora, dora] = ['lora', 'dora'].map((method) => join(folder, 'adapters', method)) as [string, string];
    const common = ['--model', join(folder, 'model'), '--data', join(dir, `${name}.jsonl`)];
    const both = await predictions(...common, '--adapter', lora, '--adapter', `mine=${dora}`);
    const alone = {
      lora: await predictions(...common, '--adapter', lora),
      mine: await predictions(...common, '--adapter', dora),
    };
    expect(both).toEqual(alone.lora.map((row, i) => ({ lora: row, mine: alone.mine[i] })));
  });
});

describe.each([['llama', 'dora']] as const satisfies [Family, string][])('%s with %s', (family, peft) => {
  it('estimates, prunes, trains, evaluates, exports and merges', async () => {
    const model = ['--model', MODELS[family]];
    const at = (name: string): string => join(dir, family, name);
    const data = join(dir, `${family}.jsonl`);
    const examples = (await tinyExamples(family)).slice(0, 8);
    const lines = examples.map(({ ids, label }) => JSON.stringify({ input_ids: [...ids], label }));
    await writeFile(data, lines.join('\n'));
    const training = [
      '--peft',
      peft,
      '--train',
      data,
      '--steps',
      '2',
      '--batch-size',
      '4',
      '--max-length',
      '16',
      '--lora-r',
      '2',
    ];
    await light('estimate', ...model, ...training, '--out', at('estimate'));
    const ratios = ['--heads-ratio', '0.5', '--module-ratio', '0.5', '--head-unit', 'group'];
    await light('prune', ...model, ...ratios, '--estimate', at('estimate'), '--out', at('pruned'));
    await light('train', ...model, ...training, '--init-adapter', at('pruned'), '--out', at('trained'));
    await light('eval', ...model, '--adapter', at('trained'), '--data', data, '--max-length', '16');
    const expected = await predictions(...model, '--adapter', at('trained'), '--data', data);
    await light('export', ...model, '--adapter', at('trained'), '--out', at('dense'));
    const dense = ['--model', at('dense/base'), '--adapter', at('dense/adapter')];
    expectClose(await predictions(...dense, '--data', data), expected);
    await light('merge', ...model, '--adapter', at('trained'), '--out', at('merged'));
    expectClose(await predictions('--model', at('merged'), '--data', data), expected);
  });
});
