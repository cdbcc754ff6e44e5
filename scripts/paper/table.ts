/** Room: scripts/paper. The parts of the paper's table by `bench/paper/table.yaml`, in the order in which they are run. */
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { validate } from '../../engine/io/files.ts';
import { didYouMean } from '../../engine/nearest.ts';
import { METRICS } from '../../report/schema.ts';
import { configSchema, type TrialConfig } from '../../report/sweep/schema.ts';

const TABLE = 'bench/paper/table.yaml';

/** What `compare-scores` keeps of a task's estimation. */
export function scoresPath(task: string, estimation: string): string {
  return `bench/paper/scores/${task}/${estimation}.json`;
}

const seeds = z.array(z.int().nonnegative()).min(1);
const methodSchema = z.strictObject({
  /** In tables. */
  label: z.string(),
  /** The method that prunes as much at random. */
  chance: z.string().optional(),
  options: configSchema,
});

const tableSchema = z.strictObject({
  name: z.string(),
  common: configSchema,
  tasks: z.record(
    z.string(),
    z.strictObject({
      metric: z.enum(METRICS),
      /** Folder of the data that has the benchmark's. */
      folder: z.string().optional(),
      /** A file of the data in SQuAD's form, which is split by articles. */
      squad: z.string().optional(),
      /** The task by which learning rates are chosen: the same one with fewer steps, or one of the same form and budget. */
      'rates-of': z.string().optional(),
      /** In place of the table's values. */
      'learning-rates': z.array(z.number()).min(1).optional(),
      options: configSchema,
      /** Of methods that prune; with as many steps in all. */
      pruning: configSchema.optional(),
    }),
  ),
  methods: z.record(z.string(), methodSchema),
  'learning-rates': z.strictObject({
    values: z.array(z.number()).min(1),
    seed: z.int(),
    'selection-split': z.number(),
    'max-eval-examples': z.int(),
    margin: z.number(),
  }),
  candidates: z.array(
    z.strictObject({
      task: z.string(),
      peft: z.string(),
      methods: z.array(z.string()),
      'learning-rates': z.array(z.number()).min(1),
    }),
  ),
  estimations: z.record(z.string(), z.strictObject({ label: z.string(), options: configSchema })),
  groups: z.array(
    z.strictObject({
      tasks: z.array(z.string()),
      peft: z.string(),
      methods: z.array(z.string()),
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
  /** Of the table's methods. */
  readonly method: string;
  readonly ratio: number;
  readonly seed: number;
  /** Of a choice: the learning rate that it tries. */
  readonly lr?: number;
}

/** @throws UserError for a method or a task that it names and has not */
export async function readTable(): Promise<Table> {
  const table = validate(parse(await readFile(TABLE, 'utf8'), { merge: true }), tableSchema, TABLE);
  const used = [...table.candidates, ...table.groups].flatMap(({ methods }) => methods);
  const chances = Object.values(table.methods).flatMap(({ chance }) => chance ?? []);
  assertKnown('method', [...used, ...chances], Object.keys(table.methods));
  const chosenBy = Object.values(table.tasks).flatMap((task) => task['rates-of'] ?? []);
  const tasks = [...table.candidates.map(({ task }) => task), ...table.groups.flatMap((group) => group.tasks)];
  assertKnown('task', [...tasks, ...chosenBy], Object.keys(table.tasks));
  return table;
}

function assertKnown(what: string, names: readonly string[], known: readonly string[]): void {
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new UserError(`${TABLE}: ${what} "${unknown}" is none of ${known.join(', ')}${didYouMean(unknown, known)}`);
}

/** Parts of the table, those that decide most first: a seed of all tasks and methods before the next seed. */
export function partsOf({ groups }: Table): Part[] {
  return groups.flatMap(({ tasks, peft, methods, ratios, seeds: all }) =>
    all.flatMap((seed) =>
      tasks.flatMap((task) =>
        ratios.flatMap((ratio) => methods.map((method) => named({ task, peft, method, ratio, seed }))),
      ),
    ),
  );
}

/** What is tried before the table: options that a preset may have, on a part of the training data. */
export function candidatesOf(table: Table): Part[] {
  return table.candidates.flatMap(({ task, peft, methods, 'learning-rates': rates }) =>
    methods.flatMap((method) => tried({ task, peft, method }, rates, table)),
  );
}

/** @param rates learning rates */
function tried(kind: Pick<Part, 'task' | 'peft' | 'method'>, rates: readonly number[], table: Table): Part[] {
  const { seed } = table['learning-rates'];
  return rates.map((lr) => named({ ...kind, ratio: 0.5, seed, lr }));
}

/** Pruning is all that a ratio is of. */
const PLAIN = 'reference';

function named(part: Omit<Part, 'name'>): Part {
  const { task, peft, method, seed, lr } = part;
  const ratio = method === PLAIN ? 0 : part.ratio;
  const last = lr === undefined ? `seed-${seed}` : `lr-${lr}`;
  return { ...part, ratio, name: [task, peft, method, ratio, last].join('/') };
}

/** The runs by which a part's learning rate is chosen: at a ratio of 1/2. */
export function choicesOf({ task, peft, method }: Pick<Part, 'task' | 'peft' | 'method'>, table: Table): Part[] {
  const other = table.tasks[task]!['rates-of'] ?? task;
  const rates = table.tasks[other]!['learning-rates'] ?? table['learning-rates'].values;
  return tried({ task: other, peft, method }, rates, table);
}

/** @param lr chosen, or tried @param place model and data */
export function configOf(part: Part, table: Table, lr: number, place: TrialConfig): TrialConfig {
  const { task, peft, method, ratio, seed } = part;
  const { options, pruning } = table.tasks[task]!;
  const pruned: TrialConfig = { ...pruning, 'heads-ratio': ratio, 'ffn-ratio': ratio };
  const { values: _, seed: __, margin: ___, ...split } = table['learning-rates'];
  return {
    ...place,
    ...table.common,
    ...options,
    ...(part.lr !== undefined && split),
    ...(method !== PLAIN && pruned),
    ...table.methods[method]!.options,
    ...{ peft, seed, lr },
  };
}
