/** Protects: tasks and data sets of a hub become files of their splits, and only those are downloaded. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveData, type HubData } from '../../../data/hub/resolve.ts';
import type { DataOptions } from '../../../data/options.ts';
import { requestedData, type DataRequest } from '../../../data/request.ts';
import { itemsOf } from '../../../data/record-source.ts';
import { FakeHub } from '../../models/hub/fake-hub.ts';

let hub: FakeHub;
let cacheDir: string;

beforeEach(async () => {
  hub = await FakeHub.start();
  cacheDir = await mkdtemp(join(tmpdir(), 'hub-'));
});

afterEach(async () => {
  await hub.stop();
  await rm(cacheDir, { recursive: true, force: true });
});

const resolve = (request: DataRequest & HubData, options: DataOptions = {}): Promise<DataRequest> =>
  resolveData(request, options, { endpoint: hub.endpoint, token: false, cacheDir, retryDelay: 1 });

const names = ({ train, eval: test }: DataRequest): unknown =>
  [train, test].map((files) => files && [files].flat().map((file) => basename(file)));

const GLUE = ['train', 'validation', 'test'].map((split) => `sst2/${split}-00000-of-00001.parquet`);
const card = `---
configs:
- config_name: sst2
  data_files:
${['train', 'validation', 'test'].map((split) => `  - split: ${split}\n    path: sst2/${split}-*`).join('\n')}
- config_name: mnli
  data_files:
  - split: train
    path: mnli/train-*
  - split: validation_mismatched
    path: mnli/validation_mismatched-*
---
`;

describe('a task', () => {
  beforeEach(() => {
    const files = [...GLUE, 'mnli/train-00000-of-00001.parquet', 'mnli/validation_mismatched-00000-of-00001.parquet'];
    hub.add('datasets', 'nyu-mll/glue', {
      'README.md': card,
      ...Object.fromEntries(files.map((path) => [path, path])),
    });
  });

  it('has its rows on the hub', async () => {
    const found = await resolve({ task: 'glue/sst2' });
    expect(names(found)).toEqual([[basename(GLUE[0]!)], [basename(GLUE[1]!)]]);
    expect(hub.cdnRequests).toHaveLength(2);
    expect(found).toMatchObject({ task: 'glue/sst2' });
  });

  it('has those that are asked for', async () => {
    expect(names(await resolve({ task: 'glue/sst2', evalOnly: true }, { evalSplit: 'test' }))).toEqual([
      undefined,
      [basename(GLUE[2]!)],
    ]);
    expect(names(await resolve({ task: 'glue/sst2' }, { selectionSplit: 0.1 }))).toEqual([
      [basename(GLUE[0]!)],
      undefined,
    ]);
    expect(names(await resolve({ task: 'glue/mnli_mismatched' }))).toEqual([
      ['train-00000-of-00001.parquet'],
      ['validation_mismatched-00000-of-00001.parquet'],
    ]);
  });

  it('with files, a folder or a package is left as it is', async () => {
    const requests: DataRequest[] = [
      { task: 'glue/sst2', dataDir: 'x' },
      { task: 'glue/sst2', eval: 'x.tsv' },
      { task: 'sentiment' },
      { train: 'a.csv' },
    ];
    for (const request of requests) expect(await resolve(request)).toEqual(request);
    expect(hub.requests).toEqual([]);
  });

  it('of a script is read where the hub has converted it', async () => {
    hub.repos.clear();
    hub.add('datasets', 'nyu-mll/glue', { 'glue.py': 'x' });
    const files = {
      'sst2/train/0000.parquet': 'a',
      'sst2/train/0001.parquet': 'b',
      'sst2/validation/0000.parquet': 'c',
      'cola/train/0000.parquet': 'd',
    };
    hub.add('datasets', 'nyu-mll/glue', files, { revision: 'refs/convert/parquet' });
    expect(names(await resolve({ task: 'glue/sst2' }))).toEqual([['0000.parquet', '0001.parquet'], ['0000.parquet']]);
  });
});

describe('a data set', () => {
  it('is read part by part, with columns by other names', async () => {
    const rows = (from: number): string =>
      [0, 1].map((i) => JSON.stringify({ review: `r${from + i}`, score: i })).join('\n');
    hub.add('datasets', 'ann/reviews', {
      'data/train-00000-of-00002.jsonl': rows(0),
      'data/train-00001-of-00002.jsonl': rows(2),
      'data/test-00000-of-00001.jsonl': rows(4),
      'data/extra-00000-of-00001.jsonl': rows(6),
    });
    const request = await resolve({ dataset: 'ann/reviews' });
    const options = { columns: { text: 'review', label: 'score' } };
    const { name, train, eval: test } = await requestedData(request, options);
    const texts: unknown[] = [];
    for await (const { fields } of itemsOf(train!)) texts.push(fields.text);
    expect([name, texts]).toEqual(['ann/reviews', ['r0', 'r1', 'r2', 'r3']]);
    expect(test).toBeDefined();
    expect(names(await resolve({ dataset: 'ann/reviews', datasetSplit: 'extra', evalOnly: true }))).toEqual([
      undefined,
      ['extra-00000-of-00001.jsonl'],
    ]);
    expect(names(await resolve({ dataset: 'ann/reviews', datasetSplit: 'test' }))).toEqual([
      ['test-00000-of-00001.jsonl'],
      undefined,
    ]);
  });

  it('says what there is where something is not', async () => {
    hub.add('datasets', 'ann/two', { 'README.md': card, 'sst2/train-0.csv': 'a' });
    await expect(resolve({ dataset: 'ann/two' })).rejects.toThrow(
      /ann\/two: found several configurations, name one with `datasetConfig`: sst2, mnli/,
    );
    await expect(resolve({ dataset: 'ann/two', datasetConfig: 'x' })).rejects.toThrow(
      /no configuration "x".*: sst2, mnli/,
    );
    hub.add('datasets', 'ann/one', { 'train.csv': 'text\na\n' });
    await expect(resolve({ dataset: 'ann/one', datasetSplit: 'dev' })).rejects.toThrow(
      /no split "dev"; there are train/,
    );
    hub.add('datasets', 'ann/pics', { 'a.png': 'x' });
    await expect(resolve({ dataset: 'ann/pics' })).rejects.toThrow(/no files that are read here/);
    await expect(resolve({ dataset: 'ann/nothing' })).rejects.toThrow(/no such dataset on/);
    await expect(resolve({ dataset: 'ann/one', task: 'sentiment' })).rejects.toThrow(/`dataset` and `task`: give one/);
    await expect(resolve({ datasetSplit: 'x', train: 'a' })).rejects.toThrow(/`datasetSplit`: is of a data set/);
  });
});
