/** Protects: which files of a data set are which split, by its card, by names, and on the branch of converted files. */
import { describe, expect, it } from 'vitest';
import { HUB_NAMES } from '../../../data/hub/names.ts';
import { configsOf, convertedConfigs, splitsByName } from '../../../data/hub/splits.ts';
import { TASK_NAMES, taskNamed } from '../../../data/tasks/registry.ts';

const plain = (splits: ReadonlyMap<string, readonly string[]> | undefined): unknown =>
  splits && Object.fromEntries(splits);

describe('names of files', () => {
  it.each([
    [['data/train-00000-of-00002.parquet', 'data/train-00001-of-00002.parquet'], { train: 2 }],
    [['data/validation_matched-00000-of-00001.parquet'], { validation_matched: 1 }],
    [['train.csv', 'dev.csv', 'test.csv', 'README.md'], { train: 1, validation: 1, test: 1 }],
    [['training/a.jsonl', 'evaluation/a.jsonl'], { train: 1, test: 1 }],
    [['latest.csv', 'contest.csv'], { train: 2 }],
    [['my-train_file.json', 'dataset_infos.json', '.x/train.csv'], { train: 1 }],
    [['script.py'], {}],
  ])('%j', (paths, counts) => {
    expect(Object.fromEntries([...splitsByName(paths)].map(([split, files]) => [split, files.length]))).toEqual(counts);
  });
});

describe('a card', () => {
  const card = (configs: string): string => `---\r\nlicense: mit\r\nconfigs:\n${configs}\n---\n# Name\n`;
  const paths = ['ax/test-00000-of-00001.parquet', 'cola/train-00000-of-00001.parquet', 'cola/deep/train-1.parquet'];

  it('tells configurations and their splits', () => {
    const text = card(`- config_name: ax
  data_files:
  - split: test
    path: ax/test-*
- config_name: cola
  data_files:
  - split: train
    path: [cola/train-*]`);
    const { splits, usual } = configsOf(paths, text);
    expect(plain(splits.get('ax'))).toEqual({ test: [paths[0]] });
    expect(plain(splits.get('cola'))).toEqual({ train: [paths[1]] });
    expect(usual).toBeUndefined();
  });

  it('may name files without splits, a folder, or the usual one', () => {
    expect(plain(configsOf(paths, card('- data_files: "**/*.parquet"')).splits.get('default'))).toEqual({
      train: [...paths].sort(),
    });
    const { splits, usual } = configsOf(
      paths,
      card('- config_name: a\n  data_dir: cola\n- config_name: b\n  default: true\n  data_dir: ax/'),
    );
    expect(usual).toBe('b');
    expect(plain(splits.get('b'))).toEqual({ test: [paths[0]] });
    expect(plain(splits.get('a'))).toEqual({ train: [paths[2], paths[1]].sort() });
  });

  it('that says nothing, or cannot be read, leaves the names', () => {
    for (const text of ['# only text', '---\na: [\n---\n', '---\nlicense: mit\n---\n', '---\nconfigs: 3\n---\n'])
      expect([...configsOf(paths, text).splits.keys()]).toEqual(['default']);
  });
});

it('converted files lie in folders of configuration and split, parts of a whole too', () => {
  const paths = [
    'default/train/0001.parquet',
    'default/train/0000.parquet',
    'default/partial-test/0000.parquet',
    'README.md',
  ];
  const { splits, usual, isPart } = convertedConfigs(paths);
  expect(plain(splits.get('default'))).toEqual({
    train: ['default/train/0000.parquet', 'default/train/0001.parquet'],
    test: ['default/partial-test/0000.parquet'],
  });
  expect([usual, isPart]).toEqual(['default', true]);
});

it('every benchmark’s task has a data set', () => {
  const benchmarks = TASK_NAMES.filter((name) => !taskNamed(name).load);
  expect(benchmarks.filter((name) => HUB_NAMES[name] === undefined)).toEqual([]);
});
