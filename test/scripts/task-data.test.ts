/** Protects: tasks of the paper's table are read as its runs read them, and their tokens counted. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readTable } from '../../scripts/paper/table.ts';
import { loadTaskData, stepTokens } from '../../scripts/paper/task-data.ts';

it('counts the tokens of a step, without padding, of what the training data has', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'task-data-'));
  try {
    const folder = join(dataDir, 'glue', 'CoLA');
    await mkdir(folder, { recursive: true });
    const row = (text: string, label: number): string => `x\t${label}\t\t${text}\n`;
    await writeFile(join(folder, 'train.tsv'), row('A bird sings.', 1) + row('Sings bird a the and so on.', 0));
    await writeFile(join(folder, 'dev.tsv'), row('Birds sing.', 1));
    const table = await readTable();
    const place = { model: join('checkpoints', 'light-roberta'), dataDir };
    const { train, eval: dev } = await loadTaskData('cola', table.tasks.cola!, place);
    expect([train.length, dev.length]).toEqual([2, 1]);
    const tokens = train.at(0)!.ids.length + train.at(1)!.ids.length;
    expect((await stepTokens(['cola'], table, place)).get('cola')).toBe((tokens / 2) * 32);
  } finally {
    await rm(dataDir, { recursive: true });
  }
});
