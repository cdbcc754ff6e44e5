/** Room: scripts/paper. The parts of the paper's table by `bench/paper/table.yaml`, in the order in which they are run. */
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import { validate } from '../../engine/io/files.ts';
import { METHODS } from '../../experiments/runner.ts';
import { METRICS } from '../../report/schema.ts';
import { configSchema, type TrialConfig } from '../../report/sweep/schema.ts';

const TABLE = 'bench/paper/table.yaml';

const seeds = z.array(z.int().nonnegative()).min(1);
const tableSchema = z.strictObject({
  name: z.string(),
  common: configSchema,
  tasks: z.record(z.string(), z.strictObject({ metric: z.enum(METRICS), options: configSchema })),
  'learning-rates': z.strictObject({
    values: z.array(z.number()).min(1),
    seed: z.int(),
    'selection-split': z.number(),
  }),
  groups: z.array(
    z.strictObject({
      tasks: z.array(z.string()),
      peft: z.string(),
      methods: z.array(z.enum(METHODS)),
      ratios: z.array(z.number()),
      seeds,
    }),
  ),
});

export type Table = z.infer<typeof tableSchema>;

/** A run: of the table itself, or to choose a learning rate. */
export interface Part {
  /** `sst2/lora/light-peft/0.5/seed-0`; of a choice `sst2/lora/light-peft/0.5/lr-0.001`. */
  readonly name: string;
  readonly task: string;
  readonly peft: string;
  readonly method: (typeof METHODS)[number];
  readonly ratio: number;
  readonly seed: number;
  /** Of a choice: the learning rate that it tries. */
  readonly lr?: number;
}

export async function readTable(): Promise<Table> {
  return validate(parse(await readFile(TABLE, 'utf8')), tableSchema, TABLE);
}

/** Parts of the table, those that decide most first: a seed of all methods before the next seed. */
export function partsOf({ groups }: Table): Part[] {
  return groups.flatMap(({ tasks, peft, methods, ratios, seeds: all }) =>
    tasks.flatMap((task) =>
      all.flatMap((seed) =>
        ratios.flatMap((ratio) => methods.map((method) => named({ task, peft, method, ratio, seed }))),
      ),
    ),
  );
}

function named(part: Omit<Part, 'name'>): Part {
  const { task, peft, method, seed, lr } = part;
  const ratio = method === 'reference' ? 0 : part.ratio;
  const last = lr === undefined ? `seed-${seed}` : `lr-${lr}`;
  return { ...part, ratio, name: [task, peft, method, ratio, last].join('/') };
}

/** The runs by which a part's learning rate is chosen: at a ratio of 1/2. */
export function choicesOf({ task, peft, method }: Part, table: Table): Part[] {
  const { values, seed } = table['learning-rates'];
  return values.map((lr) => named({ task, peft, method, ratio: 0.5, seed, lr }));
}

/** @param lr chosen, or tried */
export function configOf(part: Part, table: Table, lr: number, place: TrialConfig): TrialConfig {
  const { task, peft, method, ratio, seed } = part;
  const ratios: TrialConfig = method === 'reference' ? {} : { 'heads-ratio': ratio, 'ffn-ratio': ratio };
  const split: TrialConfig =
    part.lr === undefined ? {} : { 'selection-split': table['learning-rates']['selection-split'] };
  const own = table.tasks[task]!.options;
  return { ...place, ...table.common, ...own, ...split, ...ratios, peft, methods: method, seed, lr };
}
