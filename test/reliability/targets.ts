/** Tests only: folders whose files are damaged, and what is then done with them, as commands do it. */
import { cp, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readSettings } from '../../cli/options.ts';
import { runCommand } from '../../cli/program.ts';
import type { Engine } from '../../engine/engine.ts';
import { readJson } from '../../engine/io/files.ts';
import type { Variable } from '../../engine/variable.ts';
import { generationConfig } from '../../generate/options.ts';
import { loadBaseModel } from '../../models/base-model.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { loadTokenizer } from '../../models/tokenizer.ts';
import { peftConfig } from '../../peft/create-config.ts';
import { readPretrained, writeState } from '../../peft-model/pretrained.ts';
import { createState } from '../../peft-model/state.ts';
import { dataOptionsSchema } from '../../data/options.ts';
import { loadData } from '../../data/source.ts';
import { parseOptions } from '../../engine/options.ts';
import { fullLayers } from '../../models/architecture.ts';
import { loadCheckpoint, saveCheckpoint } from '../../train/checkpoint.ts';
import { trainBpe, writeTokenizer } from '../../pretrain/bpe.ts';
import { parseComparison } from '../../report/schema.ts';
import { decide } from '../../pruning/decide.ts';
import { writeEstimate } from '../../pruning/scores-file.ts';
import { z } from 'zod';
import { sampleComparison } from '../report/sample.ts';
import { hostEngine } from './host-engine.ts';

const GOLDENS = join(import.meta.dirname, '..', 'goldens');
const TEXTS = ['A film of rare warmth, and funny.', 'the worst hour of my year', 'Nothing new: but well played…'];

/** What one case does to a folder. */
export interface Target {
  readonly name: string;
  /** Files that are damaged, relative to the folder. */
  readonly files: readonly string[];
  /** @throws UserError for files it refuses; anything else it throws is a fault */
  readonly use: (folder: string, out: string) => Promise<void>;
}

class Refused extends Error {}

/** Runs a command that needs no device; bad input ends it with exit code 2. */
async function command(...argv: string[]): Promise<void> {
  const code = await runCommand(argv);
  if (code === 2) throw new Refused(argv[0]);
  if (code !== 0) throw new Error(`light-peft ${argv[0]} ended with exit code ${code}`);
}

export function isRefusal(error: unknown): boolean {
  return error instanceof Refused || (error instanceof Error && error.name === 'UserError');
}

const MODEL_FILES = ['model/config.json', 'model/model.safetensors'];
const ADAPTER_FILES = ['adapter_config.json', 'adapter_model.safetensors', 'labels.json'];
const PRUNED_FILES = [...ADAPTER_FILES, 'plan.json'].map((name) => `pruned/${name}`);

/** Folders of other families, each with an adapter of another method. */
const FAMILIES = [
  ['llama-cls', 'dora'],
  ['gpt2-lm', 'ia3'],
  ['bert-qa', 'lora-patterns'],
] as const;

function familyFiles(family: string, adapter: string): string[] {
  const own = ADAPTER_FILES.filter((name) => name !== 'labels.json').map((name) => `adapters/${adapter}/${name}`);
  return [...MODEL_FILES, ...own].map((name) => `${family}/${name}`);
}

/** Adapters with modules saved whole, for models that tie them or not. */
const SAVED = ['llama-words', 'opt-both', 'gpt2-conv1d', 'bert-mlm-cls', 'roberta-cls-bias', 'qwen2-qa-ia3'] as const;

/** Folders of which file and configuration disagree on ties, and LoRA on what is tied. */
const TIES = ['bert-two', 'llama-head-only', 'opt-lora-both'] as const;

/** Adapters of a resized vocabulary, as PEFT saves it by itself. */
const RESIZED = ['llama-lora-words', 'llama-saved-head', 'llama-shrunk'] as const;

function wholeModules(model: string, peft: string): Target[] {
  const name = peft.replace(/\/adapter$/, '');
  const files = [
    ...['config.json', 'model.safetensors'].map((file) => `${model}/${file}`),
    ...['adapter_config.json', 'adapter_model.safetensors'].map((file) => `${peft}/${file}`),
  ];
  const load: Target = {
    name: `load ${name}`,
    files,
    use: async (root) => {
      const { base } = await readPretrained(hostEngine(), await loadModel(join(root, model)), join(root, peft), {});
      base.free();
    },
  };
  const convert = (['merge', 'export'] as const).map((verb): Target => ({
    name: `${verb} ${name}`,
    files,
    use: (root, out) => command(verb, '--model', join(root, model), '--adapter', join(root, peft), '--out', out),
  }));
  return [load, ...convert];
}

/** Rows in every format of tables and lines, by their file, with the model that reads them. */
const ROWS: Readonly<Record<string, readonly [text: string, model: string]>> = {
  'rows.csv': ['text,label\n"A film, ""rare""",good\nthe worst hour,bad\n"two\nlines",bad\n', 'worded'],
  'rows.tsv': ['text_a\ttext_b\tlabel\nA film\tof warmth\t1\nthe worst\thour\t0\n', 'worded'],
  'texts.jsonl': [TEXTS.map((text, i) => JSON.stringify({ text, label: i % 2 })).join('\n'), 'worded'],
  'language.jsonl': [
    TEXTS.map((text) => JSON.stringify({ prompt: text, completion: ' yes' })).join('\n'),
    'gpt2-lm/model',
  ],
  'masked.jsonl': [
    JSON.stringify({ input_ids: [5, 6, 7], attention_mask: [0, 1, 1], labels: [-100, 6, 7] }),
    'gpt2-lm/model',
  ],
  'questions.jsonl': [
    JSON.stringify({ id: 'a', question: 'What?', context: TEXTS[0], answers: { text: ['film'], answer_start: [2] } }),
    'bert-qa/model',
  ],
};

const SETTINGS = `lora-r: 4
lora-alpha: 8
target-modules: [query, value]
rank-pattern: { query: 2 }
lr: 1e-3
no-shuffle: true
modules-to-save: [word_embeddings]
steps: 20
`;

export const TARGETS: readonly Target[] = [
  ...SAVED.flatMap((name) => wholeModules(`saved-modules/${name}/model`, `saved-modules/${name}/adapter`)),
  ...TIES.flatMap((name) => wholeModules(`ties/${name}/model`, `ties/${name}/adapter`)),
  ...RESIZED.flatMap((name) => wholeModules('resized-saved/llama', `resized-saved/${name}`)),
  {
    name: 'settings',
    files: ['settings.yaml'],
    use: async (folder) => {
      const { peft } = await readSettings({ config: join(folder, 'settings.yaml') });
      peftConfig(peft)((await loadModel(join(folder, 'model'))).config, 'classification');
    },
  },
  ...Object.entries(ROWS).map(([name, [, model]]): Target => ({
    name: `data ${name}`,
    files: [name],
    use: async (folder) => {
      const request = { train: join(folder, name) };
      await loadData(await loadModel(join(folder, model)), request, parseOptions(dataOptionsSchema, {}));
    },
  })),
  {
    name: 'generation',
    files: ['gpt2-lm/model/generation_config.json'],
    use: async (folder) => {
      const dir = join(folder, 'gpt2-lm', 'model');
      await generationConfig(dir, (await loadModel(dir)).config, {});
    },
  },
  {
    name: 'added tokens',
    files: ['worded/tokenizer.json', 'worded/tokenizer_config.json'],
    use: async (folder) => {
      const tokenizer = await loadTokenizer(join(folder, 'worded'));
      for (const text of [...TEXTS, '[PAD]</s> x</s>y']) {
        const { ids } = await tokenizer.encode(text, TEXTS[0], { maxLength: 12 });
        tokenizer.decode(ids, true);
      }
    },
  },
  ...FAMILIES.map(([family, adapter]): Target => ({
    name: `load ${family}`,
    files: familyFiles(family, adapter),
    use: async (folder) => {
      const [model, peft] = [join(folder, family, 'model'), join(folder, family, 'adapters', adapter)];
      await readPretrained(hostEngine(), await loadModel(model), peft, {});
    },
  })),
  ...FAMILIES.map(([family, adapter]): Target => ({
    name: `merge ${family}`,
    files: familyFiles(family, adapter),
    use: (folder, out) => {
      const [model, peft] = [join(folder, family, 'model'), join(folder, family, 'adapters', adapter)];
      return command('merge', '--model', model, '--adapter', peft, '--out', out);
    },
  })),
  {
    name: 'load',
    files: [...MODEL_FILES, ...PRUNED_FILES],
    use: async (folder) => {
      const checkpoint = await loadModel(join(folder, 'model'));
      const { base } = await readPretrained(hostEngine(), checkpoint, join(folder, 'pruned'), {});
      base.free();
    },
  },
  {
    name: 'bare model',
    files: MODEL_FILES,
    use: async (folder) => {
      const options = { weights: 'f16', embeddings: 'host' } as const;
      await readPretrained(hostEngine(), await loadModel(join(folder, 'model')), undefined, options);
    },
  },
  {
    name: 'prune',
    files: ['estimate/records.json', ...ADAPTER_FILES.map((name) => `estimate/adapter/${name}`), MODEL_FILES[0]!],
    use: (folder, out) =>
      command('prune', '--model', join(folder, 'model'), '--estimate', join(folder, 'estimate'), '--out', out),
  },
  {
    name: 'export',
    files: [...MODEL_FILES, ...PRUNED_FILES],
    use: (folder, out) =>
      command('export', '--model', join(folder, 'model'), '--adapter', join(folder, 'pruned'), '--out', out),
  },
  {
    name: 'merge',
    files: [...MODEL_FILES, ...PRUNED_FILES],
    use: (folder, out) =>
      command('merge', '--model', join(folder, 'model'), '--adapter', join(folder, 'pruned'), '--out', out),
  },
  {
    name: 'merge whole',
    files: [...MODEL_FILES, ...ADAPTER_FILES.map((name) => `estimate/adapter/${name}`)],
    use: (folder, out) =>
      command('merge', '--model', join(folder, 'model'), '--adapter', join(folder, 'estimate/adapter'), '--out', out),
  },
  {
    name: 'tokenizer',
    files: ['tokenizer/tokenizer.json', 'tokenizer/tokenizer_config.json', 'tokenizer/special_tokens_map.json'],
    use: async (folder) => {
      const tokenizer = await loadTokenizer(join(folder, 'tokenizer'));
      for (const text of TEXTS) {
        const { ids } = await tokenizer.encode(text, TEXTS[0], { maxLength: 24 });
        tokenizer.decode(ids);
      }
    },
  },
  {
    name: 'rows',
    files: ['rows.jsonl'],
    use: async (folder) => {
      const checkpoint = await loadModel(join(folder, 'model'));
      await loadData(checkpoint, { train: join(folder, 'rows.jsonl') }, parseOptions(dataOptionsSchema, {}));
    },
  },
  {
    name: 'checkpoint',
    files: ['checkpoint.safetensors'],
    use: async (folder) => {
      const engine = hostEngine();
      await loadCheckpoint(engine, join(folder, 'checkpoint.safetensors'), IDENTITY, variablesOf(engine));
    },
  },
  {
    name: 'comparison',
    files: ['comparison.json'],
    use: async (folder) => {
      const path = join(folder, 'comparison.json');
      parseComparison(await readJson(path, z.unknown()), path);
    },
  },
];

const IDENTITY = { seed: 1, lr: 0.001, base: 'sha256:00', shuffle: true };

function variablesOf(engine: Engine): Variable[] {
  return [
    engine.variable('trainables', [128], { kind: 'trainables' }),
    engine.variable('adamw.m', [128], { kind: 'optimizer' }),
  ];
}

/** Writes sound files of every kind into `folder`: the small RoBERTa, an estimation of it, a pruned adapter, and the rest. */
export async function makeFolder(folder: string): Promise<void> {
  const model = join(folder, 'model');
  await mkdir(folder, { recursive: true });
  await cp(join(GOLDENS, 'roberta', 'model'), model, { recursive: true });
  for (const [family] of FAMILIES)
    await cp(join(GOLDENS, 'families', family), join(folder, family), { recursive: true });
  for (const group of ['saved-modules', 'ties', 'resized-saved'])
    await cp(join(GOLDENS, group), join(folder, group), { recursive: true });
  for (const [name, [text]] of Object.entries(ROWS)) await writeFile(join(folder, name), text);
  await writeFile(join(folder, 'settings.yaml'), SETTINGS);
  const checkpoint = await loadModel(model);
  const { config } = checkpoint;
  const head = { head: 'classification', labels: ['bad', 'fair', 'good'] } as const;
  const base = await loadBaseModel(hostEngine(), model, { head: head.head });
  const peft = peftConfig({ r: 4 })(config, head.head);
  const whole = await createState(hostEngine(), base, peft, head, 0);
  const { modules } = whole.method!;
  await writeState(join(folder, 'estimate', 'adapter'), base, whole);
  const ranks = Object.fromEntries(modules.map(({ name }, i) => [name, [1, 2, 3, 4].map((r) => (r * (i + 1)) % 7)]));
  const rows = (width: number): number[][] =>
    fullLayers(config).map((_, layer) => Array.from({ length: width }, (_, i) => ((i * 7 + layer) % 11) / 11));
  const records = {
    base: await checkpoint.fingerprint(),
    ...{
      steps: 4,
      counted_steps: 2,
      seed: 0,
      non_finite_samples: 0,
      loss: [1, 0.9, 0.8, 0.7],
      task_loss: [1, 0.9, 0.8, 0.7],
    },
    head_masks: rows(config.numHeads),
    ffn_masks: rows(config.intermediateSize),
    module_importance: Object.fromEntries(modules.map(({ name }, i) => [name, (i % 5) / 5])),
    rank_importance: ranks,
  };
  await writeEstimate(join(folder, 'estimate', 'records.json'), records);
  const scores = { heads: records.head_masks, neurons: records.ffn_masks, modules: records.module_importance, ranks };
  const plan = decide(scores, { foldMasks: true });
  await command(
    'prune',
    '--model',
    model,
    '--estimate',
    join(folder, 'estimate'),
    '--out',
    join(folder, 'pruned'),
    '--fold-masks',
  );
  if (Object.keys(plan.modules).length === 0) throw new Error('the plan of the tests keeps nothing');
  const bpe = await trainBpe(TEXTS, { vocabSize: 300, minFrequency: 1, maxTokenLength: 8 });
  await writeTokenizer(join(folder, 'tokenizer'), bpe, 32);
  await cp(model, join(folder, 'worded'), { recursive: true });
  for (const name of ['worded', 'gpt2-lm/model', 'bert-qa/model']) await writeWords(join(folder, name));
  const engine = hostEngine();
  const losses = { loss: [1, 0.5], taskLoss: [1, 0.5] };
  await saveCheckpoint(engine, join(folder, 'checkpoint.safetensors'), 2, IDENTITY, variablesOf(engine), losses);
  const lines = TEXTS.map((_, i) => JSON.stringify({ input_ids: [0, 5 + i, 6, 2], label: i }));
  await writeFile(join(folder, 'rows.jsonl'), lines.join('\n'));
  await writeFile(join(folder, 'comparison.json'), JSON.stringify(sampleComparison()));
}

/** A tokenizer of as many words as a model has, with added tokens and roles. */
async function writeWords(dir: string): Promise<void> {
  const size = (await loadModel(dir)).config.vocabSize;
  const words = [...new Set(TEXTS.join(' ').match(/\w+|[^\w\s]/g))].slice(0, size - 3);
  const special = ['[UNK]', '[PAD]', '</s>'];
  const vocab = Object.fromEntries([...special, ...words].map((word, id) => [word, id]));
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const json = {
    ...{ version: '1.0', truncation: null, padding: null, normalizer: { type: 'Lowercase' } },
    ...{ pre_tokenizer: { type: 'Whitespace' }, post_processor: null, decoder: null },
    added_tokens: special.map((content, id) => ({ id, content, ...flags })),
    model: { type: 'WordLevel', vocab, unk_token: '[UNK]' },
  };
  await writeFile(join(dir, 'tokenizer.json'), JSON.stringify(json));
  const config = { model_max_length: 16, truncation_side: 'right', pad_token: '[PAD]', eos_token: { content: '</s>' } };
  await writeFile(join(dir, 'tokenizer_config.json'), JSON.stringify(config));
}

/** Bytes of all files below a folder, and those whose writing was not finished; 0 and none where there is no folder. */
export async function inspect(folder: string): Promise<{ files: number; unfinished: string[] }> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const kinds = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).isFile()));
  const files = names.filter((_, i) => kinds[i]);
  return { files: files.length, unfinished: files.filter((name) => name.endsWith('.tmp')) };
}
