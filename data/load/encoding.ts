/** Room: data/load. What data is encoded for: the model at hand, its tokenizer and its limits. Reads the tokenizer's files. */
import { join } from 'node:path';
import { exists } from '../../engine/io/files.ts';
import type { OnBytes } from '../../engine/io/load.ts';
import type { HeadKind, ModelConfig } from '../../models/architecture.ts';
import { loadChatFormat } from '../../models/chat/chat-format.ts';
import { endTokens } from '../../models/config.ts';
import { LazyTokenizer } from '../../models/lazy-tokenizer.ts';
import type { EncodeFileOptions } from '../encode.ts';
import type { LanguageOptions } from '../lm/encode.ts';

/** What a model at hand already has. */
export interface KnownHead {
  readonly head: HeadKind;
  readonly labels: readonly string[];
  /** Its vocabulary may be larger than the checkpoint's. */
  readonly base?: { readonly config: Pick<ModelConfig, 'vocabSize'> } | undefined;
}

/** What data is encoded for. */
export interface Encoding {
  readonly modelDir: string;
  readonly config: ModelConfig;
  readonly maxLength: number;
  readonly docStride: number;
  readonly onBytes: OnBytes | undefined;
}

/** The tokenizer is loaded when a text comes. It is undefined where the model has none: it is missed then. */
export async function encodeOptionsOf({ modelDir, config, maxLength }: Encoding): Promise<EncodeFileOptions> {
  const { vocabSize, typeVocabSize } = config;
  const hasTokenizer = await exists(join(modelDir, 'tokenizer.json'));
  const tokenizer = hasTokenizer ? new LazyTokenizer(modelDir) : undefined;
  return { maxLength, vocabSize, typeVocabSize, tokenizer };
}

export async function languageOptions(encoding: Encoding): Promise<LanguageOptions> {
  const [endId] = endTokens(encoding.config);
  return { ...(await encodeOptionsOf(encoding)), endId, chat: await loadChatFormat(encoding.modelDir) };
}
