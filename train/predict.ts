/** Room: train. Scores of every line of a data file, in its order, for any head. */
import { headOf } from '../models/heads.ts';
import { logitsSession } from '../peft-model/inference-session.ts';
import type { PeftModel } from '../peft-model/peft-model.ts';
import { DataLoader, MULTIPLE } from '../data/data-loader.ts';
import { longestOfEach } from '../data/example-store.ts';
import type { EncodedExample } from '../data/encoded-example.ts';
import type { Rows } from '../data/load/rows.ts';
import { infer, INFER_BATCH, type InferenceOptions } from './evaluate.ts';
import { assertFinite } from './finite.ts';

/**
 * Of one line: scores of classes; of choices; or for every token a list, of start and end for answer spans, of the vocabulary for
 * language models.
 */
export type Scores = readonly number[] | readonly (readonly number[])[];

/** A window of a line's text. */
export interface Window {
  readonly example: EncodedExample;
  readonly scores: Scores;
}

/** Bytes of one batch's scores for every token, about. */
const BATCH_BYTES = 1 << 26;

/**
 * Windows of every line: one, but for long contexts of questions.
 * @param options with sequences at a time, at most; fewer where all their tokens are scored
 */
export function predict(
  model: PeftModel,
  rows: Pick<Rows, 'examples' | 'firsts'>,
  options: InferenceOptions = {},
): AsyncIterable<readonly Window[]> {
  const { reads } = headOf(model.base.config, model.head);
  return reads === 'every-token' ? everyToken(model, rows, options) : onePerSequence(model, rows, options);
}

/** A line with choices has a sequence, and a score, for each. */
async function* onePerSequence(
  model: PeftModel,
  { examples, firsts }: Pick<Rows, 'examples' | 'firsts'>,
  options: InferenceOptions,
): AsyncGenerator<readonly Window[]> {
  const { logits } = await infer(model, examples, {}, options);
  const width = logits.length / examples.length;
  for (const [i, first] of firsts.entries()) {
    const end = firsts[i + 1] ?? examples.length;
    yield [{ example: examples.at(first)!, scores: [...logits.subarray(first * width, end * width)] }];
  }
}

async function* everyToken(
  model: PeftModel,
  { examples }: Pick<Rows, 'examples'>,
  { batchSize: most = INFER_BATCH, signal }: InferenceOptions,
): AsyncGenerator<readonly Window[]> {
  const { config } = model.base;
  const width = headOf(config, model.head).vocabulary ? config.vocabSize : 2;
  const longest = longestOfEach(examples).reduce((a, b) => Math.max(a, b), 1);
  const sequenceBytes = 4 * Math.ceil(longest / MULTIPLE) * MULTIPLE * width;
  const batchSize = Math.max(1, Math.min(most, Math.floor(BATCH_BYTES / sequenceBytes)));
  const limit = model.engine.limits.maxStorageBufferBindingSize;
  const runBytes = Math.min(BATCH_BYTES, limit);
  const rowsPerRun = batchSize * sequenceBytes > limit ? Math.max(1, Math.floor(runBytes / (4 * width))) : undefined;
  const batches = new DataLoader(examples, {
    batchSize,
    order: 'file',
    seed: 0,
    padId: config.padTokenId,
    maxLength: config.maxTokens,
  });
  using session = logitsSession(model, {}, rowsPerRun);
  let windows: Window[] = [];
  for (const batch of batches.epoch(0)) {
    signal?.throwIfAborted();
    await session.prepare(batch);
    const values = await session.run(batch);
    for (const [row, index] of batch.indices.entries()) {
      const example = examples.at(index)!;
      const first = row * batch.seq * width;
      assertFinite(values.subarray(first, first + example.ids.length * width), `example ${index + 1}: a score`);
      const scores = Array.from(example.ids, (_, token) => {
        const start = (row * batch.seq + token) * width;
        return [...values.subarray(start, start + width)];
      });
      windows.push({ example, scores });
      if (examples.at(index + 1)?.window) continue;
      yield windows;
      windows = [];
    }
  }
}
