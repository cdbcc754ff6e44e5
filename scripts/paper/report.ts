/** Room: scripts/paper. `bench/paper/RESULTS.md` from the parts that are there. */
import { join } from 'node:path';
import { taskMetrics, type MetricName } from '../../data/metrics.ts';
import { loadData } from '../../data/source.ts';
import { writeFileAtomic } from '../../engine/io/files.ts';
import { parseSettings, camelCase } from '../../experiments/settings.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { paperMarkdown, type PaperRow, type PaperTask } from '../../report/paper/markdown.ts';
import { plainText } from '../../sweep/spec.ts';
import { readPart } from './run-part.ts';
import { partsOf, type Table } from './table.ts';

const RESULTS = join('bench', 'paper', 'RESULTS.md');

/** @returns the file's path */
export async function writePaperReport(table: Table, model: string, dataDir: string): Promise<string> {
  const all = partsOf(table);
  const tasks: PaperTask[] = [];
  for (const name of new Set(all.map(({ task }) => task))) {
    const parts = (await Promise.all(all.filter(({ task }) => task === name).map(readPart))).flatMap(
      (part) => part ?? [],
    );
    if (parts.length > 0) tasks.push(await taskOf(table, name, { model, dataDir }, parts));
  }
  const rows = new Map(all.map(({ peft, method, ratio }) => [`${peft} ${method} ${ratio}`, { peft, method, ratio }]));
  const order: PaperRow[] = [...rows.values()];
  await writeFileAtomic(RESULTS, paperMarkdown(tasks, order, 'npm run reproduce -- paper --model DIR --data-dir DIR'));
  return RESULTS;
}

/** With the labels of its development set. */
async function taskOf(
  { tasks }: Table,
  name: string,
  { model, dataDir }: { readonly model: string; readonly dataDir: string },
  parts: PaperTask['parts'],
): Promise<PaperTask> {
  const { metric, options } = tasks[name]!;
  const { task, ...settings } = options;
  const given = new Map(Object.entries(settings).map(([flag, value]): [string, unknown] => [camelCase(flag), value]));
  const { data: encoding } = parseSettings(given, (key) => key);
  const request = { task: plainText(task), dataDir, evalOnly: true };
  const data = await loadData(await loadModel(model), request, encoding);
  const labels = Array.from(data.eval, ({ label, values }) => values?.[0] ?? label);
  const classes = data.labels.length;
  const of = metric as MetricName;
  return {
    name,
    metric,
    labels,
    parts,
    score: (predictions, right) => taskMetrics([of], { labels: right, predictions, classes })[of],
  };
}
