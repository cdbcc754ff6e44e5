/**
 * Room: models. `config.json` of Hugging Face model folders: one schema a family, each normalised to the names used here.
 * To add a family: write its schema and its normaliser, and enter it in `FAMILIES`.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { preview, readJson, validate } from '../engine/io/files.ts';

/** `gelu` is the exact (erf) one, `gelu_tanh` its tanh approximation. */
export type Activation = 'gelu' | 'gelu_tanh' | 'relu' | 'tanh';

/** What transformers calls an activation, and what it is here. */
export const ACTIVATION_NAMES = {
  gelu: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  relu: 'relu',
  tanh: 'tanh',
} as const satisfies Record<string, Activation>;

/** A post-norm encoder with absolute learned positions. */
export interface EncoderConfig {
  readonly family: 'roberta' | 'bert';
  readonly vocabSize: number;
  /** Features of a token, D. A multiple of `numHeads`. */
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** Neurons of the feed-forward network, F. */
  readonly intermediateSize: number;
  readonly hiddenAct: Activation;
  readonly layerNormEps: number;
  /** Rows of the position embedding. */
  readonly maxPositions: number;
  /** Longest sequence: RoBERTa's first `pad_token_id` + 1 positions are not used by tokens. */
  readonly maxTokens: number;
  readonly typeVocabSize: number;
  readonly padTokenId: number;
  readonly hiddenDropout: number;
  readonly attentionDropout: number;
  readonly classifierDropout: number;
  /** Standard deviation of fresh weights. */
  readonly initializerRange: number;
  /** Class names by index; `LABEL_0`, `LABEL_1` … where the file gives none. */
  readonly labels: readonly string[];
  readonly problemType: 'single_label_classification' | 'multi_label_classification' | 'regression' | undefined;
  /** The file as it was, to be written back. */
  readonly raw: Readonly<Record<string, unknown>>;
}

const count = z.int().positive();
const probability = z.number().min(0).lt(1);

/** Keys of BERT and all models made after it; what transformers leaves out of a file has its default here. */
const encoderKeys = {
  vocab_size: count,
  hidden_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  intermediate_size: count,
  max_position_embeddings: count,
  type_vocab_size: count.default(2),
  hidden_act: z.enum(Object.keys(ACTIVATION_NAMES) as (keyof typeof ACTIVATION_NAMES)[]).default('gelu'),
  layer_norm_eps: z.number().positive().default(1e-12),
  hidden_dropout_prob: probability.default(0.1),
  attention_probs_dropout_prob: probability.default(0.1),
  classifier_dropout: probability.nullish(),
  initializer_range: z.number().positive().default(0.02),
  position_embedding_type: z.literal('absolute').default('absolute'),
  is_decoder: z.literal(false).default(false),
  add_cross_attention: z.literal(false).default(false),
  num_labels: count.optional(),
  id2label: z.record(z.string(), z.string()).nullish(),
  problem_type: z
    .enum(['single_label_classification', 'multi_label_classification', 'regression'])
    .nullish()
    .transform((type) => type ?? undefined),
};
const token = z.int().nonnegative();
const bertSchema = z.looseObject({ ...encoderKeys, pad_token_id: token.default(0) });
const robertaSchema = z.looseObject({ ...encoderKeys, pad_token_id: token.default(1) });

type RawObject = Record<string, unknown>;

const FAMILIES: Record<string, (raw: RawObject, file: string) => EncoderConfig> = {
  bert: (raw, file) => normalise('bert', raw, validate(raw, bertSchema, file), file),
  roberta: (raw, file) => normalise('roberta', raw, validate(raw, robertaSchema, file), file),
};

function normalise(
  family: EncoderConfig['family'],
  raw: RawObject,
  file: z.infer<typeof bertSchema>,
  path: string,
): EncoderConfig {
  if (file.hidden_size % file.num_attention_heads !== 0) {
    const expected = `a multiple of num_attention_heads (${file.num_attention_heads})`;
    throw new UserError(`${path}: key "hidden_size": found ${file.hidden_size}, expected ${expected}`);
  }
  if (file.pad_token_id >= file.vocab_size) {
    throw new UserError(
      `${path}: key "pad_token_id": found ${file.pad_token_id}, expected less than vocab_size (${file.vocab_size})`,
    );
  }
  const unused = family === 'roberta' ? file.pad_token_id + 1 : 0;
  if (file.max_position_embeddings <= unused) {
    const found = `found ${file.max_position_embeddings}`;
    throw new UserError(`${path}: key "max_position_embeddings": ${found}, expected more than pad_token_id + 1`);
  }
  return {
    family,
    vocabSize: file.vocab_size,
    hiddenSize: file.hidden_size,
    numLayers: file.num_hidden_layers,
    numHeads: file.num_attention_heads,
    intermediateSize: file.intermediate_size,
    hiddenAct: ACTIVATION_NAMES[file.hidden_act],
    layerNormEps: file.layer_norm_eps,
    maxPositions: file.max_position_embeddings,
    maxTokens: file.max_position_embeddings - unused,
    typeVocabSize: file.type_vocab_size,
    padTokenId: file.pad_token_id,
    hiddenDropout: file.hidden_dropout_prob,
    attentionDropout: file.attention_probs_dropout_prob,
    classifierDropout: file.classifier_dropout ?? file.hidden_dropout_prob,
    initializerRange: file.initializer_range,
    labels: labelNames(file.id2label, file.num_labels, path),
    problemType: file.problem_type,
    raw,
  };
}

/** As transformers does it: `id2label` wins over `num_labels`, and two labels are the default. */
function labelNames(
  id2label: Record<string, string> | null | undefined,
  numLabels: number | undefined,
  path: string,
): string[] {
  if (!id2label) return Array.from({ length: numLabels ?? 2 }, (_, i) => `LABEL_${i}`);
  const size = Object.keys(id2label).length;
  return Array.from({ length: size }, (_, i) => {
    const label = id2label[String(i)];
    if (label !== undefined) return label;
    throw new UserError(`${path}: key "id2label": no label ${i}, expected the keys "0" to "${size - 1}"`);
  });
}

/**
 * Checks the content of a `config.json`.
 * @param file names it in errors
 * @throws UserError for a model type that is not supported, a missing key or a value out of range
 */
export function parseConfig(raw: unknown, file: string): EncoderConfig {
  const object = validate(raw, z.record(z.string(), z.unknown()), file);
  const type = object.model_type;
  const parse = typeof type === 'string' && Object.hasOwn(FAMILIES, type) ? FAMILIES[type] : undefined;
  if (parse) return parse(object, file);
  const supported = Object.keys(FAMILIES).sort().join(', ');
  throw new UserError(`${file}: key "model_type": found ${preview(type)}, expected one of the supported ${supported}`);
}

/** Reads `config.json` of a model folder. @throws UserError as `parseConfig`, or where the file is missing or no JSON */
export async function loadConfig(dir: string): Promise<EncoderConfig> {
  const path = join(dir, 'config.json');
  return parseConfig(await readJson(path, z.unknown()), path);
}
