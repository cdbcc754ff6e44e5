/** Protects: what a worker takes from a queue: nothing outside its storage, and no option that writes elsewhere or runs code. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyOf, parseJob, type Job } from '../../sweep/job.ts';

const hash = `sha256:${'0'.repeat(64)}`;
const good: Job = {
  version: 1,
  sweep: '0123456789ab',
  folder: 'sweeps/one',
  kind: 'trial',
  id: 'ba9876543210',
  command: 'run',
  config: { model: 'models/base', task: 'sentiment', lr: 0.001, methods: 'light-peft', seed: 0 },
  facts: { base: hash, data: { trainContent: hash }, sources: hash },
  retries: 2,
};

const refuses = (more: object, message: RegExp | string): void => {
  expect(() => parseJob({ ...good, ...more })).toThrow(message);
};

it('takes what a sweep makes', () => {
  expect(parseJob(JSON.parse(JSON.stringify(good)))).toEqual(good);
  const estimate = { id: good.id, command: 'estimate' as const, config: { model: 'models/base', seed: 1 } };
  expect(parseJob({ ...good, estimate, part: { rung: 1, pauseAfter: 30 } })).toMatchObject({ estimate });
});

describe('paths', () => {
  it.each([
    '/etc/passwd',
    '../base',
    'a/../../b',
    '..',
    '',
    '-',
    'C:\\base',
    'c:/base',
    'a\0b',
    '..\\b',
    'a/../../../etc',
  ])('refuses %j wherever a configuration names a file', (path) => {
    for (const key of ['model', 'data-dir', 'train', 'eval'])
      refuses({ config: { ...good.config, [key]: path } }, 'within the storage');
    refuses({ config: { ...good.config, train: ['ok.jsonl', path] } }, 'within the storage');
    refuses({ config: { ...good.config, train: { name: path } } }, 'within the storage');
    refuses({ folder: path }, 'within the storage');
    refuses({ estimate: { id: good.id, command: 'estimate', config: { model: path } } }, 'within the storage');
  });

  it('refuses a path behind a task’s name', () => {
    refuses({ config: { ...good.config, train: 'name=/etc/passwd' } }, 'within the storage');
    refuses({ config: { ...good.config, train: ['name=../x'] } }, 'within the storage');
  });

  it('takes names on the hub and files of the storage', () => {
    const config = {
      ...good.config,
      model: 'org/name',
      train: 'name=data/train.jsonl',
      eval: ['a=b.csv', 'data/c.csv'],
    };
    expect(parseJob({ ...good, config })).toMatchObject({ config });
  });
});

describe('options', () => {
  it.each([
    ...['out', 'config', 'overwrite', 'profile', 'dump-kernels', 'tune', 'log-jsonl', 'log-csv', 'log-tensorboard'],
    ...['json', 'estimate', 'init-adapter', 'pause-after', 'queue', 'storage', '--out', 'out=x', 'O', 'model --out'],
  ])('refuses %j of a trial of run', (key) => {
    refuses({ config: { ...good.config, [key]: 'x' } }, /config/);
  });

  it('leaves __proto__ out', () => {
    const text = JSON.stringify(good).replace('"model"', '"__proto__":{"out":"x"},"model"');
    const { config } = parseJob(JSON.parse(text));
    expect(config).toEqual(good.config);
    expect(config.out).toBeUndefined();
  });

  it('names the nearest option that there is', () => {
    refuses({ config: { ...good.config, 'head-ratio': 0.5 } }, 'did you mean "heads-ratio"?');
  });
});

describe('the rest of a payload', () => {
  it.each([
    ['no object', 3],
    ['null', null],
    ['another version', { ...good, version: 2 }],
    ['an unknown key', { ...good, script: 'x' }],
    ['a command that is none', { ...good, command: 'push' }],
    ['an id that leads elsewhere', { ...good, id: '../../x' }],
    ['a sweep that is no id', { ...good, sweep: 'x/y' }],
    ['an estimation whose id leads elsewhere', { ...good, estimate: { id: '../x', command: 'estimate', config: {} } }],
    ['a hash that is none', { ...good, facts: { ...good.facts, base: 'x' } }],
    ['endless retries', { ...good, retries: 1e9 }],
  ])('refuses %s', (_, value) => {
    expect(() => parseJob(value)).toThrow(/job/);
  });

  it('refuses anything with one line for people', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        expect(() => parseJob(value)).toThrow(/^job/);
      }),
    );
  });
});

it('calls the same work by the same key, and parts of it by others', () => {
  expect(keyOf(good)).toBe('0123456789ab.rung-0.ba9876543210');
  expect(keyOf({ ...good, part: { rung: 2, pauseAfter: 90 } })).toBe('0123456789ab.rung-2.ba9876543210');
  expect(keyOf({ ...good, kind: 'estimate' })).toBe('0123456789ab.estimate.ba9876543210');
});
