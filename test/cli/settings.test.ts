/** Protects: flags, their defaults and the keys of `--config` files, and which of them an option comes from. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withFlags } from '../../cli/flags.ts';
import { addSettings, readSettings } from '../../cli/options.ts';
import { option, UserError } from '../../engine/errors.ts';
import { parseOptions } from '../../engine/options.ts';
import { flatOptions, type RunOptions } from '../../experiments/options.ts';
import { PRESETS } from '../../experiments/presets.ts';
import { camelCase, flagName, settingKey, SETTINGS } from '../../experiments/settings.ts';
import { trainOptionsSchema } from '../../train/options.ts';
import { heardWarnings } from '../warnings.ts';

/** Every flag of a run in version 0.1, and its default; undefined: none. */
const FLAGS_OF_0_1: Readonly<Record<string, string | number | boolean | undefined>> = {
  peft: 'lora',
  'target-modules': 'all-linear',
  'exclude-modules': undefined,
  'layers-to-transform': undefined,
  'modules-to-save': undefined,
  'lora-r': 8,
  'lora-alpha': 16,
  'rank-pattern': undefined,
  'alpha-pattern': undefined,
  'use-rslora': false,
  bias: 'none',
  'init-lora-weights': true,
  'feedforward-modules': undefined,
  'adapter-size': undefined,
  'reduction-factor': undefined,
  'adapter-scale': undefined,
  'adapter-activation': undefined,
  'adapter-init': 'lora',
  'adapter-parallel': false,
  dropout: 0.05,
  'task-type': undefined,
  'problem-type': undefined,
  'max-answer-length': 30,
  'doc-stride': 128,
  'allow-empty-answer': undefined,
  lr: 1e-3,
  schedule: 'linear',
  'warmup-ratio': 0,
  'weight-decay': 0,
  clip: 1,
  'batch-size': 32,
  'max-length': 128,
  epochs: 3,
  steps: 0,
  shuffle: true,
  bucket: true,
  seed: 0,
  weights: 'f32',
  embeddings: 'device',
  activations: 'f32',
  'gradient-checkpointing': false,
  compute: 'f32',
  'save-every': 0,
  'estimate-steps': 64,
  l1: 1e-4,
  'heads-l1': undefined,
  'ffn-l1': undefined,
  'heads-mask-lr': 1,
  'ffn-mask-lr': 1,
  'heads-ratio': 1 / 3,
  'heads-scope': 'layerwise',
  'head-unit': 'query',
  'ffn-ratio': 1 / 3,
  'ffn-scope': 'global',
  'mask-score': 'abs',
  'allow-empty-layers': false,
  'fold-masks': false,
  'module-ratio': 0.75,
  'rank-ratio': 0.5,
  'rank-scope': 'global',
  carry: 'inherit',
};

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

async function file(text: string): Promise<string> {
  const path = join(dir, 'settings.yaml');
  await writeFile(path, text);
  return path;
}

/** Options by their flags. */
function byFlag(options: RunOptions): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(flatOptions(options)).map(([name, value]) => [flagName(settingKey(name)), value]),
  );
}

describe('flags of version 0.1', () => {
  it('are all there, a default of true as its opposite', () => {
    const flags = addSettings(new Command()).options.map(({ long }) => long);
    const expected = Object.entries(FLAGS_OF_0_1).map(([name, value]) =>
      value === true && name !== 'init-lora-weights' ? `--no-${name}` : `--${name}`,
    );
    expect(flags).toEqual(expect.arrayContaining(expected));
  });

  it('have their defaults', async () => {
    const found = byFlag(await readSettings({}));
    for (const [name, value] of Object.entries(FLAGS_OF_0_1)) expect(found[name], name).toEqual(value);
  });

  it.each([
    ['targetModules', 'query, value', ['query', 'value']],
    ['targetModules', 'default', 'default'],
    ['targetModules', '.*(query|value)', '.*(query|value)'],
    ['excludeModules', 'query', ['query']],
    ['modulesToSave', 'pooler,LayerNorm', ['pooler', 'LayerNorm']],
    ['feedforwardModules', 'output.dense', ['output.dense']],
    ['layersToTransform', '0,2', [0, 2]],
    ['rankPattern', 'query=2,output.dense=16', { query: 2, 'output.dense': 16 }],
    ['alphaPattern', 'query=0.5', { query: 0.5 }],
    ['initLoraWeights', 'false', false],
    ['initLoraWeights', 'gaussian', 'gaussian'],
    ['adapterScale', '2.5', 2.5],
    ['adapterScale', 'learned', 'learned'],
  ])('--%s %j is read as then', async (key, text, expected) => {
    const found = byFlag(await readSettings({ [key]: text }));
    expect(found[flagName(key)]).toEqual(expected);
    expect(byFlag(await readSettings({ config: await file(`${flagName(key)}: ${JSON.stringify(text)}`) }))).toEqual(
      found,
    );
  });
});

describe('keys of a file', () => {
  const underscored = (flag: string): string => flag.replaceAll('-', '_');
  it.each([
    ['as flags', (flag: string) => flag],
    ['with underscores', underscored],
    ['in camel case', camelCase],
  ])('%s', async (_, spelled) => {
    const numbers = Object.entries(FLAGS_OF_0_1).filter(([, value]) => typeof value === 'number' && value > 0);
    const halves = numbers.map(([flag, value]) => [flag, Number.isInteger(value) && flag !== 'l1' ? 2 : 0.25] as const);
    const config = await file(halves.map(([flag, value]) => `${spelled(flag)}: ${value}`).join('\n'));
    expect(byFlag(await readSettings({ config }))).toMatchObject(Object.fromEntries(halves));
  });

  it('take lists and mappings as YAML has them', async () => {
    const config = await file(
      'target-modules: [query, value]\nrank-pattern: {query: 2}\nlayers-to-transform: [1]\nshuffle: false\ninit-lora-weights: false',
    );
    expect(await readSettings({ config })).toMatchObject({
      peft: {
        targetModules: ['query', 'value'],
        rankPattern: { query: 2 },
        layersToTransform: [1],
        initLoraWeights: false,
      },
      train: { shuffle: false },
    });
  });

  it.each<[string, string, unknown]>([
    ['target-modules', '[query, value]', ['query', 'value']],
    ['target-modules', 'query, value', ['query', 'value']],
    ['exclude-modules', '[0, 1]', ['0', '1']],
    ['modules-to-save', 'pooler', ['pooler']],
    ['modules-to-save', '\n  - pooler\n  - LayerNorm', ['pooler', 'LayerNorm']],
    ['layers-to-transform', '1', [1]],
    ['layers-to-transform', '[0, "2"]', [0, 2]],
    ['layers-to-transform', '"0, 2"', [0, 2]],
    ['rank-pattern', '{query: 2, output.dense: 16}', { query: 2, 'output.dense': 16 }],
    ['rank-pattern', '\n  query: "2"', { query: 2 }],
    ['rank-pattern', '[query=2, output.dense=16]', { query: 2, 'output.dense': 16 }],
    ['alpha-pattern', '\n  - query: 0.5\n  - key: 2', { query: 0.5, key: 2 }],
    ['init-lora-weights', 'no', false],
    ['init-lora-weights', 'gaussian', 'gaussian'],
    ['adapter-scale', '2.5', 2.5],
    ['adapter-scale', '"2.5"', 2.5],
    ['shuffle', 'off', false],
    ['no-shuffle', 'true', undefined],
    ['use-rslora', 'yes', true],
    ['use-rslora', '"true"', true],
    ['lr', '2e-3', 0.002],
    ['lr', '"2e-3"', 0.002],
    ['heads-l1', '', undefined],
    ['clip', '~', 1],
  ])('take natural YAML: %s: %s', async (key, text, expected) => {
    const settings = byFlag(await readSettings({ config: await file(`${key}: ${text}`) }));
    expect(settings[key]).toEqual(expected);
    if (key === 'no-shuffle') expect(settings.shuffle).toBe(false);
  });

  it.each([
    ['lora-rr: 8', 'key "lora-rr": not a setting, did you mean "lora-r"?'],
    ['loraAlpa: 8', 'key "lora-alpa": not a setting, did you mean "lora-alpha"?'],
    ['target_module: query', 'key "target-module": not a setting, did you mean "target-modules"?'],
    ['r: 8', 'key "r": not a setting, did you mean "lora-r"?'],
    ['max-grad-norm: 1', 'key "max-grad-norm": not a setting, did you mean "clip"?'],
    ['frobnicate: 1', 'key "frobnicate": not a setting'],
  ])('that do not exist suggest the nearest: %s', async (text, expected) => {
    const config = await file(text);
    const error: unknown = await readSettings({ config }).catch((thrown: unknown) => thrown);
    expect((error as Error).message).toBe(`${config}: ${expected}`);
  });

  it('that are wrong are named with the file, flags as flags', async () => {
    const config = await file('clip: -1\n');
    await expect(readSettings({ config })).rejects.toThrow(`${config}: key "clip": found -1`);
    await expect(readSettings({ clip: -1 })).rejects.toThrow('--clip: found -1');
  });
});

it('options of the library in an error are shown as flags, other words in backticks as they are', () => {
  const known = new Set(['clip', 'loraR', 'ffnScope', 'lr']);
  const text = `${option('maxGradNorm')}, ${option('r')}, ${option('neuronsScope')}, ${option('lr')}: of \`prune\``;
  expect(withFlags(text, settingKey, known)).toBe('--clip, --lora-r, --ffn-scope, --lr: of `prune`');
});

describe('what is wrong is said in words for people', () => {
  const SAID: readonly (readonly [key: string, value: unknown, text: string])[] = [
    ['clip', -1, 'found -1, expected a number of at least 0'],
    ['loraR', 0, 'found 0, expected an integer from 1'],
    ['loraAlpha', 1e300, 'found 1e+300, expected a number in (0, 3.4e+38]'],
    ['loraR', 1.5, 'found 1.5, expected an integer from 1'],
    ['dropout', 1, 'found 1, expected a number in [0, 1)'],
    ['weights', 'f8', 'found "f8", expected f32 or f16'],
    ['peft', 'lorra', 'found "lorra", expected lora, dora, ia3, houlsby, pfeiffer, parallel or adapter'],
    ['initLoraWeights', 'pissa', 'found "pissa", expected true, false, gaussian or orthogonal'],
    ['layersToTransform', '0,x', '1: found "x", expected a number'],
    ['lr', 'fast', 'found "fast", expected a number above 0'],
  ];
  it.each(SAID)('--%s %j', async (key, value, text) => {
    await expect(readSettings({ [key]: value })).rejects.toThrow(`--${flagName(key)}: ${text}`);
    const config = await file(`${flagName(key)}: ${JSON.stringify(value)}`);
    await expect(readSettings({ config })).rejects.toThrow(`${config}: key "${flagName(key)}": ${text}`);
  });

  it('whatever is given to whichever setting', async () => {
    for (const key of SETTINGS.keys())
      for (const value of [-1, 0.5, 'n o', '', true, [], [{}], {}, { a: [] }, [[1]], Infinity, '9'.repeat(400)]) {
        const error: unknown = await readSettings({ [key]: value }).catch((thrown: unknown) => thrown);
        if (!(error instanceof Error)) continue;
        expect(error).toBeInstanceOf(UserError);
        const message = withFlags(error.message, settingKey, new Set(SETTINGS.keys()));
        expect(message.startsWith(`--${flagName(key)}: `), message).toBe(true);
        expect(message).toMatch(/found .*expected /);
        expect(message.split(', expected')[1] ?? '').not.toMatch(/Invalid|Too |received|[a-z][A-Z]|another value/);
      }
  });

  it('by the library too, with its own names', () => {
    const given = { maxGradNrm: 2 } as object;
    expect(() => parseOptions(trainOptionsSchema, given)).toThrow(
      '`maxGradNrm`: not an option, did you mean `maxGradNorm`?',
    );
    expect(() => parseOptions(trainOptionsSchema, { batchSize: 1.5 })).toThrow(
      '`batchSize`: found 1.5, expected an integer',
    );
  });
});

it('flags win over the file, the file over defaults', async () => {
  const config = await file('lora-r: 4\nlr: 0.002\n');
  expect(await readSettings({ config, lr: 0.01 })).toMatchObject({
    peft: { r: 4 },
    train: { lr: 0.01, batchSize: 32 },
  });
});

it('a preset stands between: flags and the file win over it, it wins over defaults', async () => {
  const config = await file('preset: light-peft+\nrank-ratio: 0.6\n');
  expect(await readSettings({ config, moduleRatio: 0.1 })).toMatchObject({
    decide: { heads: 0.5, neurons: 0.5, modules: 0.1, ranks: 0.6 },
    train: { batchSize: 32 },
  });
  expect((await readSettings({ preset: 'paper', config: await file('lr: 0.001') })).train).toMatchObject({
    lr: 1e-3,
    epochs: 10,
  });
  await expect(readSettings({ preset: 'paper+' })).rejects.toThrow(
    '--preset: found "paper+", expected paper or light-peft+',
  );
});

it.each(Object.entries(PRESETS))(
  'the preset %s is known settings alone, and the same run as these',
  async (name, preset) => {
    expect([...SETTINGS.keys()]).toEqual(expect.arrayContaining(Object.keys(preset)));
    expect(byFlag(await readSettings({ preset: name }))).toEqual(byFlag(await readSettings(preset)));
  },
);

it.each([
  ['', {}, 64],
  ['steps: 360', {}, 360],
  ['steps: 360\nestimate-steps: 48', {}, 48],
  ['steps: 360\nestimate-steps: 48', { steps: 8 }, 8],
  ['steps: 360\nestimate-steps: 48', { estimateSteps: 9 }, 9],
  ['estimate-steps: 48', { steps: 8, estimateSteps: 9 }, 9],
  ['steps: 0', {}, 64],
])('the estimation takes its steps from what is said nearest: %j, %j', async (text, flags, expected) => {
  const { estimate } = await readSettings({ config: await file(text), ...flags }, 'estimate');
  expect(estimate.estimateSteps).toBe(expected);
});

it('elsewhere steps are those of the fine-tuning alone', async () => {
  const options = await readSettings({ config: await file('steps: 360') });
  expect(options).toMatchObject({ train: { steps: 360 }, estimate: { estimateSteps: 64 } });
});

describe('flags of other stages', () => {
  const warnings = heardWarnings();
  it.each([
    ['train', { estimateUntil: 'stable' }, ['`estimateUntil` is for run and estimate: train does nothing with it']],
    ['train', { headsRatio: 0.5 }, ['`headsRatio` is for run, estimate and prune: train does nothing with it']],
    ['prune', { lr: 0.1, seed: 3 }, ['`lr` is for run, estimate and train: prune does nothing with it']],
    ['estimate', { epochs: 2, steps: 8 }, ['`epochs` is for run and train: estimate does nothing with it']],
    ['estimate', { headsRatio: 0.5, estimateUntil: 'stable', shuffle: true }, []],
    ['train', { evalStrategy: 'epoch', shuffle: true, useRslora: false }, []],
  ] as const)('%s, %j', async (stage, flags, expected) => {
    await readSettings({ config: await file('estimate-steps: 24\ncarry: reinit\nlora-r: 2'), ...flags }, stage);
    expect(warnings).toEqual(expected);
  });
});
