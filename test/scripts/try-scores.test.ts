/** Protects: scores are tried on the model that the estimation left: by masks, each head alone, and nothing of it is changed by that. */
import { expect, it } from 'vitest';
import { UNIT_SCORES } from '../../pruning/unit-scores.ts';
import type { TriedHead, TriedScore } from '../../report/paper/schema.ts';
import { tryAll, tryHeads, tryTwo } from '../../scripts/paper/try-scores.ts';
import { estimate } from '../../train/estimate.ts';
import { openTestEngine } from '../engine.ts';
import { tinyExamples, tinyModel } from '../train/tiny.ts';

const engine = await openTestEngine();

it('tries every score at both ratios, and every head alone', async () => {
  using model = await tinyModel(engine);
  const examples = await tinyExamples();
  const scores = await estimate(model, examples, { steps: 3, batchSize: 8, lr: 1e-2 });
  const tried = { engine, model, data: { eval: examples }, scores, seed: 0 };
  const rows: TriedScore[] = [];
  const heads: TriedHead[] = [];
  await tryAll(tried, (row) => rows.push(row));
  await tryHeads(tried, (head) => heads.push(head));
  const again: TriedScore[] = [];
  await tryTwo(tried, (row) => again.push(row));

  const key = ({ importance, headsScope, ratio }: TriedScore): string => `${importance} ${headsScope} ${ratio}`;
  const all = new Map(rows.map((row) => [key(row), row]));
  const random = rows.filter(({ importance }) => importance === 'random');
  expect(random).toHaveLength(6);
  expect(new Set(random.map(({ loss }) => loss)).size).toBeGreaterThan(2);
  for (const score of ['mask', ...UNIT_SCORES])
    for (const scope of ['layerwise', 'global'])
      expect(all.get(`${score} ${scope} 0.5`)!.loss).not.toBe(all.get('none  0')!.loss);
  expect(again).toHaveLength(5);
  for (const row of again) expect(row).toEqual(all.get(key(row)));

  expect(heads).toHaveLength(model.base.layers.reduce((sum, layer) => sum + layer.heads, 0));
  expect(new Set(heads.map(({ loss }) => loss)).size).toBe(heads.length);
  for (const { layer, head, scores: own } of heads)
    expect(own).toMatchObject({ mask: Math.abs(scores.heads[layer]![head]!), taylor: scores.units!.taylor!.heads[layer]![head]! }); // prettier-ignore
});
