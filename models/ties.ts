/** Room: models. Whether the word embedding and what scores the vocabulary share a matrix: by the configuration, and by the weights. */
import { openSafetensors, type TensorFile } from '../engine/io/safetensors.ts';
import { warn } from '../engine/warnings.ts';
import type { Head, ModelConfig, VocabularyLayer } from './architecture.ts';
import { loadConfig } from './config.ts';
import { storedName } from './weights.ts';

/** A model folder's configuration as its weights have it. @throws UserError as `loadConfig` and `openSafetensors` */
export async function loadModelConfig(dir: string): Promise<ModelConfig> {
  const config = await loadConfig(dir);
  const file = await openSafetensors(dir);
  try {
    return await untiedByFile(config, file);
  } finally {
    await file.close();
  }
}

/** As transformers 5: two matrices that differ are both used, whatever the configuration says. */
async function untiedByFile(config: ModelConfig, file: TensorFile): Promise<ModelConfig> {
  const { architecture } = config;
  const heads: Partial<Record<string, Head>> = {};
  for (const [kind, head] of Object.entries(architecture.heads)) {
    const { vocabulary } = head;
    const differs = vocabulary?.tied === true && (await differ(file, config, vocabulary));
    heads[kind] = differs ? { ...head, vocabulary: { ...vocabulary, tied: false, untiedByFile: true } } : head;
  }
  return { ...config, architecture: { ...architecture, heads } };
}

async function differ(file: TensorFile, config: ModelConfig, { module }: VocabularyLayer): Promise<boolean> {
  const name = `${module}.weight`;
  const words = storedName(file, `${config.architecture.embeddings.words}.weight`, config);
  if (!file.has(name) || words === undefined || words === name || (await file.isEqual(name, words))) return false;
  warn(
    `${file.path}: ${name} and ${words} differ, though config.json ties them: both are used, as in transformers; "tie_word_embeddings": false says so`,
  );
  return true;
}
