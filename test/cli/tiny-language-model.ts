/** Tests only: a small language model with a tokenizer. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeSafetensors } from '../../engine/io/safetensors.ts';
import { hostRandom } from '../../engine/random.ts';
import { baseWeightShapes } from '../../models/base-model.ts';
import { loadConfig } from '../../models/config.ts';
import { trainBpe, writeTokenizer } from '../../pretrain/bpe.ts';

/** A GPT-2 of random weights with a byte-level tokenizer, trained on texts. @returns the folder */
export async function tinyLanguageModel(folder: string, texts: readonly string[], positions = 32): Promise<string> {
  await mkdir(folder, { recursive: true });
  const vocabulary = await trainBpe(texts, { vocabSize: 280, minFrequency: 2, maxTokenLength: 8 });
  await writeTokenizer(folder, vocabulary, positions);
  const sizes = { n_embd: 32, n_layer: 2, n_head: 4, n_positions: positions, vocab_size: vocabulary.tokens.length };
  const more = {
    model_type: 'gpt2',
    architectures: ['GPT2LMHeadModel'],
    eos_token_id: 2,
    activation_function: 'gelu_new',
  };
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...sizes, ...more }));
  const config = await loadConfig(folder);
  const random = hostRandom(5, 96);
  const entries = [...baseWeightShapes(config)].map(([name, shape]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const isNorm = /ln_\w+\.weight$/.test(name);
    const data = Float32Array.from({ length: size }, () => (isNorm ? 1 : 0.3 * random.normal()));
    // Files of GPT-2 hold matrices of blocks as [in, out].
    const stored = name.includes('.h.') && shape.length === 2 ? [...shape].reverse() : shape;
    return { name, dtype: 'F32' as const, shape: stored, data };
  });
  await writeSafetensors(join(folder, 'model.safetensors'), entries);
  return folder;
}
