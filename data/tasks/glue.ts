/**
 * Room: data/tasks. GLUE (Wang et al. 2019), as distributed (tab-separated, quotation marks are text) and as on the Hugging Face hub.
 * Declarations only.
 */
import type { MetricName } from '../metrics.ts';
import type { Dialect } from '../records.ts';
import { classOf, labelled, textOf } from './fields.ts';
import type { Task } from './task.ts';

const DIALECT: Dialect = { quote: 'none' };

interface Sentences {
  readonly name: string;
  readonly folders?: readonly string[];
  readonly labels: readonly string[];
  readonly metrics: readonly MetricName[];
  /** Columns of the one text or the two. */
  readonly columns: readonly [string] | readonly [string, string];
}

function sentences({ columns, labels, ...task }: Sentences): Task {
  const [a, b] = columns;
  return {
    ...task,
    labels,
    head: 'classification',
    dialect: DIALECT,
    rows: (record, at) => [
      { ...Object.fromEntries(columns.map((c) => [c, textOf(record, c, at)])), ...classOf(record, labels, at) },
    ],
    example: (row) => ({
      ...(b === undefined ? { text: row[a] } : { text_a: row[a], text_b: row[b] }),
      ...labelled(row, labels),
    }),
  };
}

export const GLUE: readonly Task[] = [
  sentences({
    name: 'glue/sst2',
    folders: ['SST-2'],
    labels: ['negative', 'positive'],
    metrics: ['accuracy'],
    columns: ['sentence'],
  }),
  sentences({
    name: 'glue/rte',
    labels: ['entailment', 'not_entailment'],
    metrics: ['accuracy'],
    columns: ['sentence1', 'sentence2'],
  }),
];
