/** Protects: submissions are what GLUE takes: its names of files, headers, indices and answers, whatever the order of a model's classes. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { submissionLines, type Outcome } from '../../../data/tasks/figures.ts';
import { taskNamed } from '../../../data/tasks/registry.ts';
import { indexedLines, submissionFile } from '../../../data/tasks/submission.ts';

const outcomes = (...rows: number[][]): Outcome[] => rows.map((row) => ({ scores: Float32Array.from(row) }));
const lines = (name: string, labels: readonly string[], ...rows: number[][]): readonly string[] =>
  submissionLines(taskNamed(name), [], labels, outcomes(...rows));

describe('submissionLines', () => {
  it('has numbers where GLUE wants them, and names of classes elsewhere', () => {
    const two = [[1, 0], [0, 1]]; // prettier-ignore
    for (const name of ['cola', 'sst2', 'mrpc', 'qqp', 'wnli'])
      expect(lines(`glue/${name}`, taskNamed(`glue/${name}`).labels, ...two)).toEqual([
        'index\tprediction',
        '0\t0',
        '1\t1',
      ]);
    for (const name of ['qnli', 'rte'])
      expect(lines(`glue/${name}`, ['LABEL_0', 'LABEL_1'], ...two).slice(1)).toEqual([
        '0\tentailment',
        '1\tnot_entailment',
      ]);
    for (const name of ['mnli', 'mnli_mismatched', 'ax'])
      expect(lines(`glue/${name}`, [], [0, 2, 1], [3, 2, 1], [0, 1, 2]).slice(1)).toEqual([
        '0\tneutral',
        '1\tentailment',
        '2\tcontradiction',
      ]);
  });

  it('follows the names of a model that has its classes in another order', () => {
    const rows = lines('glue/mnli', ['contradiction', 'entailment', 'neutral'], [3, 2, 1], [1, 3, 2]);
    expect(rows.slice(1)).toEqual(['0\tcontradiction', '1\tentailment']);
  });

  it('clips similarities, and writes three decimals', () => {
    expect(lines('glue/stsb', ['score'], [-0.2], [2.71828], [5.1]).slice(1)).toEqual([
      '0\t0.000',
      '1\t2.718',
      '2\t5.000',
    ]);
  });

  it('takes the index of a row before its place', () => {
    const { submission: _, ...rte } = taskNamed('glue/rte');
    const keys = [{ idx: 7 }, {}];
    expect(submissionLines(taskNamed('glue/rte'), keys, [], outcomes([0, 1], [1, 0])).slice(1)).toEqual([
      '7\tnot_entailment',
      '1\tentailment',
    ]);
    const submission = indexedLines('RTE.jsonl', ({ best }) => ({ label: rte.labels[best] }));
    expect(submissionLines({ ...rte, submission }, keys, [], outcomes([0, 1], [1, 0]))).toEqual([
      '{"idx":7,"label":"not_entailment"}',
      '{"idx":1,"label":"entailment"}',
    ]);
  });
});

describe('submissionFile', () => {
  it('is named as the benchmark has it in a folder, and as asked elsewhere', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'glue.v1-'));
    const of = (name: string, path: string): Promise<string> => submissionFile(taskNamed(name), path);
    const files = { cola: 'CoLA', sst2: 'SST-2', mrpc: 'MRPC', stsb: 'STS-B', qqp: 'QQP', mnli: 'MNLI-m', ax: 'AX' };
    for (const [name, file] of Object.entries({ ...files, mnli_mismatched: 'MNLI-mm', qnli: 'QNLI', wnli: 'WNLI' }))
      expect(await of(`glue/${name}`, dir)).toBe(join(dir, `${file}.tsv`));
    expect(await of('glue/rte', join(dir, 'new'))).toBe(join(dir, 'new', 'RTE.tsv'));
    expect(await of('glue/rte', join(dir, 'mine.tsv'))).toBe(join(dir, 'mine.tsv'));
    await expect(of('spam', dir)).rejects.toThrow('spam has none');
    await rm(dir, { recursive: true });
  });
});
