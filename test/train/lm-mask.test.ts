/**
 * Protects: padding of language-model rows is neither read nor learned, wherever it is. Losses are transformers' 5.24 in float64, positions
 * counted by the mask, as its generation counts them (OPT always).
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadData } from '../../data/source.ts';
import { setWarningHandler } from '../../engine/warnings.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { PeftModel } from '../../peft-model/peft-model.ts';
import { evaluate } from '../../train/evaluate.ts';
import { openTestEngine } from '../engine.ts';

const FAMILIES = join(import.meta.dirname, '..', 'goldens', 'families');

const PADDED = [
  [
    [48, 106, 46, 59, 97, 99],
    [1, 1, 1, 1, 1, 1],
  ],
  [
    [83, 8, 79, 38, 91, 112, 47],
    [0, 0, 1, 1, 1, 1, 1],
  ],
  [
    [45, 104, 88, 66, 40, 87, 27],
    [1, 1, 1, 1, 0, 0, 0],
  ],
  [
    [87, 97, 80, 48, 73, 32, 41, 4],
    [1, 1, 0, 0, 1, 1, 1, 0],
  ],
  [
    [9, 89, 111, 13, 6, 112, 67, 108, 84],
    [0, 1, 1, 0, 1, 1, 1, 0, 1],
  ],
].map(([ids, mask]) => ({ input_ids: ids, attention_mask: mask }));

/** The second learns the end after its last token, though the mask excludes it; the last has nothing to learn. */
const LABELLED = [
  {
    input_ids: [107, 92, 83, 91, 35, 84, 113],
    attention_mask: [0, 0, 1, 1, 1, 1, 1],
    labels: [-100, -100, -100, -100, 35, 84, 113],
  },
  {
    input_ids: [83, 16, 46, 23, 47, 112, 51],
    attention_mask: [1, 1, 1, 1, 1, 0, 0],
    labels: [-100, -100, 46, 23, 47, 112, -100],
  },
  { input_ids: [5, 38, 87, 24, 36, 107], labels: [5, -100, 87, 24, -100, 107] },
  { input_ids: [13, 103, 48], labels: [-100, -100, -100] },
];

const engine = await openTestEngine();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(folder, { recursive: true }));

const warnings: string[] = [];
const before = setWarningHandler((text) => warnings.push(text));
afterEach(() => warnings.splice(0));
afterAll(() => void setWarningHandler(before));

async function lossOf(family: string, rows: readonly object[]): Promise<{ count: number; loss: number }> {
  const path = join(folder, 'rows.jsonl');
  await writeFile(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  const checkpoint = await loadModel(join(FAMILIES, family, 'model'));
  const data = await loadData(checkpoint, { eval: path }, { taskType: 'CAUSAL_LM' });
  using model = await PeftModel.fromPretrained(engine, checkpoint, undefined, { head: 'causal-lm' });
  return (await evaluate(model, data.eval)).metrics;
}

describe.each([
  ['gpt2-lm', 5.174701427305808, 5.071280813217163],
  ['opt-lm', 5.13628169446877, 5.263685083389282],
  ['llama-lm', 5.189785267115228, 5.159685039520264],
])('%s', (family, padded, labelled) => {
  it('leaves padding out on either side and in between', async () => {
    const { count, loss } = await lossOf(family, PADDED);
    expect(count).toBe(21);
    expect(loss).toBeCloseTo(padded, 5);
    expect(warnings).toEqual([]);
  });

  it('learns what labels ask for, and skips rows that ask for nothing with a warning', async () => {
    const { count, loss } = await lossOf(family, LABELLED);
    expect(count).toBe(10);
    expect(loss).toBeCloseTo(labelled, 5);
    expect(warnings).toEqual([expect.stringMatching(/rows\.jsonl: 1 of 4 rows .*rows\.jsonl:4$/)]);
  });
});

it('refuses a file with nothing to learn', async () => {
  await expect(lossOf('gpt2-lm', [LABELLED[3]!])).rejects.toThrow('rows.jsonl: no token to learn');
});
