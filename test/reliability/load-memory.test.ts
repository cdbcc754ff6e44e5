/** Protects: loading a model takes no more host memory than the largest tensor of its folder and 64 MB. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { BESIDE_LARGEST, measureMemory } from './measure-memory.ts';
import { writeRandomFolder } from './random-folder.ts';

const CONFIG = {
  model_type: 'roberta',
  vocab_size: 50_000,
  hidden_size: 1024,
  num_hidden_layers: 2,
  num_attention_heads: 8,
  intermediate_size: 4096,
  max_position_embeddings: 130,
};

// As f32 the word embedding is over the binding limit of the software adapter: it stays on the host, in the file's 16 bits.
it('a folder of 150 MB in f16, most of it one table, placed as f32 and as f16', { timeout: 240_000 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'light-peft-load-'));
  try {
    const { bytes, largest } = await writeRandomFolder(dir, CONFIG, 60e6);
    expect(largest).toBeGreaterThan(100e6);
    for (const mode of ['f32', 'f16'] as const) {
      const { loading, device, hostTable } = await measureMemory(dir, mode);
      expect(loading, mode).toBeLessThan(largest + BESIDE_LARGEST);
      if (hostTable > 0) continue;
      expect(device / bytes).toBeCloseTo(mode === 'f32' ? 2 : 1, 1);
      expect(loading, mode).toBeLessThan(BESIDE_LARGEST);
    }
  } finally {
    await rm(dir, { recursive: true });
  }
});
