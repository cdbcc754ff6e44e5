/** Protects: how long parts of the paper's table are said to take. */
import { expect, it } from 'vitest';
import { forecast } from '../../scripts/paper/forecast.ts';
import { choicesOf, configOf, partsOf, readTable, type Part } from '../../scripts/paper/table.ts';
import type { PaperPart } from '../../report/paper/schema.ts';

const table = await readTable();
const parts = partsOf(table);

const partNamed = (name: string): Part => parts.find((part) => part.name === name)!;

/** As if it had run. */
const ran = (part: Part, trainSeconds: number, date = '2026-01-01'): PaperPart => ({
  ...{
    format: 'light-peft/paper-part',
    version: 1,
    ...part,
    lr: part.lr ?? 1e-3,
    config: configOf(part, table, 1e-3, {}),
  },
  metrics: { trainSeconds, estimateSeconds: 10, trainTokensPerSecond: 500, secondsPerStep: 2 },
  ...{ device: { adapter: '', software: true, host: '' }, date, commit: '', sources: '', fingerprint: '', command: '' },
});

const [first, second, other] = ['sst2', 'sst2', 'mrpc'].map((task, i) =>
  partNamed(`${task}/lora/light-peft/0.5/seed-${i}`),
) as [Part, Part, Part];

it('as the latest of the task and method took, and the choice of a learning rate once', () => {
  const [one, two] = choicesOf(first, table) as [Part, Part];
  const known = [ran(one, 70), ran(partNamed('sst2/lora/reference/0/seed-0'), 900)];
  expect([...forecast([first, second], known, table, new Map())]).toEqual([
    [first.name, 80 + 80],
    [second.name, 80],
  ]);
  const all = [...known, ran(two, 30, '2026-01-02'), ran(first, 50, '2026-01-03')];
  expect([...forecast([first, second], all, table, new Map())]).toEqual([[second.name, 60]]);
});

it('of a task that has none, by the tokens of a step; of a method that has none, by its ratio', () => {
  const known = [...choicesOf(other, table), first].map((part) => ran(part, 90));
  const tokens = new Map([['mrpc', 3000]]);
  const without = known.slice(2);
  // 500 tokens a second for 2 s are 1,000 a step: three times as long, of 300 steps for 500, of the run and both choices.
  expect(forecast([other], without, table, tokens).get(other.name)).toBeCloseTo(3 * 300 * (300 / 500));
  expect(forecast([other], known, table, tokens).get(other.name)).toBe(100);
  expect(forecast([other], without, table, new Map()).size).toBe(0);
  const unpruned = ran(partNamed('sst2/lora/reference/0/seed-0'), 900);
  const [random] = choicesOf(partNamed('sst2/lora/random/0.5/seed-0'), table) as [Part];
  expect(forecast([random], [...known, unpruned], table, tokens).get(random.name)).toBe(100);
});
