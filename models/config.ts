/**
 * Room: models. `config.json` of Hugging Face model folders. To add a family: write its file in `families/` and enter it in
 * `FAMILIES`.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { option, UserError } from '../engine/errors.ts';
import { preview, readJson, validate } from '../engine/io/files.ts';
import type { HeadKind, ModelConfig } from './architecture.ts';
import { bert } from './families/bert.ts';
import { distilbert } from './families/distilbert.ts';
import { gpt2 } from './families/gpt2.ts';
import { llama, mistral, qwen2 } from './families/llama.ts';
import { opt } from './families/opt.ts';
import { roberta, xlmRoberta } from './families/roberta.ts';
import type { ConfigFile } from './schema.ts';

/** By `model_type`. */
const FAMILIES: Readonly<Record<string, (file: ConfigFile) => ModelConfig>> = {
  bert,
  distilbert,
  gpt2,
  llama,
  mistral,
  opt,
  qwen2,
  roberta: (file) => roberta(file),
  'xlm-roberta': xlmRoberta,
};

/**
 * Checks the content of a `config.json`.
 * @param path names it in errors
 * @throws UserError for a model type that is not supported, a missing key or a value out of range
 */
export function parseConfig(content: unknown, path: string): ModelConfig {
  const raw = validate(content, z.record(z.string(), z.unknown()), path);
  const type = raw.model_type;
  const family = typeof type === 'string' && Object.hasOwn(FAMILIES, type) ? FAMILIES[type] : undefined;
  if (family) return withinReason(family({ raw, path }), path);
  const supported = Object.keys(FAMILIES).sort().join(', ');
  throw new UserError(`${path}: key "model_type": found ${preview(type)}, expected one of the supported ${supported}`);
}

/** No model has more layers; a damaged number must not make lists without end. */
const MAX_LAYERS = 10_000;

function withinReason(config: ModelConfig, path: string): ModelConfig {
  if (config.numLayers <= MAX_LAYERS) return config;
  throw new UserError(`${path}: found ${config.numLayers} layers, expected at most ${MAX_LAYERS}`);
}

/** Reads `config.json` of a model folder. @throws UserError as `parseConfig`, or where the file is missing or no JSON */
export async function loadConfig(dir: string): Promise<ModelConfig> {
  const path = join(dir, 'config.json');
  return parseConfig(await readJson(path, z.unknown()), path);
}

/** A configuration with a vocabulary of so many tokens, whatever the checkpoint's. */
export function resizeVocabulary(config: ModelConfig, size: number): ModelConfig {
  if (size === config.vocabSize) return config;
  const { savedVocabSize = config.vocabSize, raw } = config;
  return { ...config, vocabSize: size, savedVocabSize, raw: { ...raw, vocab_size: size } };
}

/** @param dir the folder of the file @throws UserError for a pad token outside the vocabulary */
export function assertPadToken({ padTokenId: id, vocabSize }: ModelConfig, dir: string): void {
  if (id < vocabSize) return;
  const found = `found ${id}, expected less than vocab_size (${vocabSize})`;
  const help = `set ${option('resizeEmbeddings')} where the tokenizer has it`;
  throw new UserError(`${join(dir, 'config.json')}: key "pad_token_id": ${found}; ${help}`);
}

/** How the classes of transformers end, by head. */
const CLASS_ENDINGS: readonly (readonly [string, HeadKind])[] = [
  ['ForSequenceClassification', 'classification'],
  ['ForMultipleChoice', 'multiple-choice'],
  ['ForQuestionAnswering', 'question-answering'],
  ['ForMaskedLM', 'masked-lm'],
  ['ForCausalLM', 'causal-lm'],
  ['LMHeadModel', 'causal-lm'],
];

/** The head that a checkpoint was saved with, by `architectures`; undefined for a bare model. */
export function savedHead(config: ModelConfig): HeadKind | undefined {
  const { architectures } = config.raw;
  return Array.isArray(architectures) ? headOfClass(config, architectures[0]) : undefined;
}

/** The head of a class of transformers; undefined for a bare model's, and where the family has no such head. */
export function headOfClass({ architecture }: ModelConfig, name: unknown): HeadKind | undefined {
  const found = CLASS_ENDINGS.find(([ending]) => typeof name === 'string' && name.endsWith(ending))?.[1];
  return found && architecture.heads[found] ? found : undefined;
}

/** What transformers calls a model with a head. */
export function className({ architecture, family }: ModelConfig, head: HeadKind): string {
  if (family === 'gpt2' && head === 'causal-lm') return 'GPT2LMHeadModel';
  return architecture.className + (CLASS_ENDINGS.find(([, kind]) => kind === head) as readonly [string, HeadKind])[0];
}

/** A name here as the class with a head has it: for question answering Llama's kin begin otherwise. */
export function nameInClass({ architecture }: ModelConfig, head: HeadKind, name: string): string {
  const { prefix, otherPrefixes = [] } = architecture;
  const [other] = head === 'question-answering' ? otherPrefixes : [];
  return other !== undefined && name.startsWith(prefix) ? other + name.slice(prefix.length) : name;
}

/** The class of a checkpoint whose head is none of these, e.g. `BertForTokenClassification`. */
export function unsupportedClass(config: ModelConfig): string | undefined {
  const name: unknown = [config.raw.architectures].flat()[0];
  return typeof name === 'string' && name.includes('For') && !savedHead(config) ? name : undefined;
}

/** Tokens that end a text, by `eos_token_id`: none, one or several. */
export function endTokens({ raw: { eos_token_id: id } }: Pick<ModelConfig, 'raw'>): readonly number[] {
  return [id].flat().filter((token) => typeof token === 'number');
}
