/** Protects: plans and records come back as written, whatever they hold; anything else is refused in one line. */
import fc from 'fast-check';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { parseConfig } from '../../models/config.ts';
import { parsePeftConfig } from '../../peft/config.ts';
import { readPlan, writePlan } from '../../pruning/plan.ts';
import { readEstimate, writeEstimate, type EstimateResult } from '../../pruning/scores-file.ts';
import { parseComparison } from '../../report/schema.ts';
import { SAMPLE_PLAN } from './sample-plan.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'parsers-'));
});
afterAll(() => rm(dir, { recursive: true }));

const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0);
const series = fc.array(number, { maxLength: 5 });
const name = fc.stringMatching(/^[a-z]+(\.[a-z0-9]+){0,4}$/);
const indices = fc.uniqueArray(fc.nat(5000), { maxLength: 8 }).map((list) => list.sort((a, b) => a - b));

test('records', async () => {
  const path = join(dir, 'records.json');
  const modules = fc.dictionary(name, fc.tuple(number, series), { maxKeys: 4, noNullPrototype: true });
  const parts = fc.record({
    modules,
    loss: series,
    masks: fc.array(fc.tuple(series, series), { maxLength: 3 }),
    steps: fc.integer({ min: 1, max: 99 }),
  });
  await fc.assert(
    fc.asyncProperty(parts, async ({ modules: table, loss, masks, steps }) => {
      const records: Omit<EstimateResult, 'format' | 'version'> = {
        ...{ base: 'sha256:00', steps, counted_steps: 1, seed: 0, non_finite_samples: 0, loss, task_loss: loss },
        head_masks: masks.map(([heads]) => heads),
        ffn_masks: masks.map(([, neurons]) => neurons),
        module_importance: Object.fromEntries(Object.entries(table).map(([key, [value]]) => [key, value])),
        rank_importance: Object.fromEntries(Object.entries(table).map(([key, [, ranks]]) => [key, ranks])),
      };
      await writeEstimate(path, records);
      expect(await readEstimate(path)).toMatchObject(records);
    }),
    { numRuns: 60 },
  );
});

test('plans', async () => {
  const path = join(dir, 'plan.json');
  const layers = fc.array(fc.record({ heads: indices, neurons: indices }), { maxLength: 4 });
  const modules = fc.dictionary(name, fc.record({ ranks: fc.nat(64), kept: indices }), {
    maxKeys: 4,
    noNullPrototype: true,
  });
  await fc.assert(
    fc.asyncProperty(layers, modules, async (kept, table) => {
      const plan = { ...SAMPLE_PLAN, layers: kept, modules: table };
      await writePlan(path, plan);
      expect(await readPlan(path)).toEqual(plan);
    }),
    { numRuns: 60 },
  );
});

test('another version is refused with both numbers', async () => {
  const path = join(dir, 'version.json');
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 3, max: 1e6 }), async (version) => {
      await writeFile(path, JSON.stringify({ format: 'light-peft/plan', version }));
      await expect(readPlan(path)).rejects.toThrow(`found ${version}, this program reads version 2`);
      await writeFile(path, JSON.stringify({ format: 'light-peft/records', version }));
      await expect(readEstimate(path)).rejects.toThrow(`found ${version}, this program reads version 1`);
    }),
    { numRuns: 20 },
  );
});

test('any JSON is read or refused in one line', async () => {
  const path = join(dir, 'any.json');
  const type = fc.constantFrom('roberta', 'opt', 'gpt2', 'llama', 'distilbert', 'x');
  const peft = fc.constantFrom('LORA', 'BOTTLENECK', 'IA3', 'x');
  const format = fc.constantFrom('light-peft/plan', 'light-peft/records', 'light-peft/comparison');
  const rest = { version: fc.constantFrom(1, 2), r: fc.jsonValue(), layers: fc.jsonValue() };
  const any = fc.oneof(fc.jsonValue(), fc.record({ model_type: type, peft_type: peft, format, ...rest }));
  const readers: readonly ((value: unknown) => unknown)[] = [
    () => readPlan(path),
    () => readEstimate(path),
    (value) => parseConfig(value, path),
    (value) => parsePeftConfig(value, path),
    (value) => parseComparison(value, path),
  ];
  await fc.assert(
    fc.asyncProperty(any, async (value) => {
      await writeFile(path, JSON.stringify(value));
      for (const read of readers) {
        const error: unknown = await Promise.resolve(JSON.parse(JSON.stringify(value)) as unknown)
          .then(read)
          .then(
            () => undefined,
            (e: unknown) => e,
          );
        if (error === undefined) continue;
        expect(error).toBeInstanceOf(UserError);
        expect((error as UserError).message).not.toContain('\n');
      }
    }),
    { numRuns: 200 },
  );
});
