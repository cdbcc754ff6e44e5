/** Room: train. Scores of every line of a data file, in its order, for any head. */
import type { Engine } from '../engine/engine.ts';
import { headOf } from '../models/heads.ts';
import { toPeftModel, type PeftModelState } from '../peft-model/assembly.ts';
import { DataLoader, MULTIPLE } from '../data/data-loader.ts';
import type { EncodedExample } from '../data/encode.ts';
import type { Rows } from '../data/source.ts';
import { InferenceSession } from './evaluate.ts';
import { inferAll } from './stages.ts';

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
const BATCH_ROWS = 32;

/**
 * Windows of every line: one, but for long contexts of questions.
 * @param maxLength longest sequence
 */
export function predict(
  engine: Engine,
  assembly: PeftModelState,
  rows: Rows,
  maxLength: number,
): AsyncIterable<readonly Window[]> {
  const { reads } = headOf(assembly.base.config, assembly.head);
  return reads === 'every-token'
    ? everyToken(engine, assembly, rows, maxLength)
    : onePerSequence(engine, assembly, rows, maxLength);
}

/** A line with choices has a sequence, and a score, for each. */
async function* onePerSequence(
  engine: Engine,
  assembly: PeftModelState,
  { examples, lines }: Rows,
  maxLength: number,
): AsyncGenerator<readonly Window[]> {
  const { logits } = await inferAll(engine, assembly, examples, { maxLength });
  const width = logits.length / examples.length;
  for (let first = 0; first < lines.length;) {
    let end = first + 1;
    while (end < lines.length && lines[end] === lines[first]) end++;
    yield [{ example: examples[first] as EncodedExample, scores: [...logits.subarray(first * width, end * width)] }];
    first = end;
  }
}

async function* everyToken(
  engine: Engine,
  assembly: PeftModelState,
  { examples }: Rows,
  maxLength: number,
): AsyncGenerator<readonly Window[]> {
  const { config } = assembly.base;
  const width = headOf(config, assembly.head).vocabulary ? config.vocabSize : 2;
  const longest = examples.reduce((most, { ids }) => Math.max(most, ids.length), 1);
  const sequenceBytes = 4 * Math.ceil(longest / MULTIPLE) * MULTIPLE * width;
  const batchSize = Math.max(1, Math.min(BATCH_ROWS, Math.floor(BATCH_BYTES / sequenceBytes)));
  const limit = engine.device.limits.maxStorageBufferBindingSize;
  const rowsPerRun = batchSize * sequenceBytes > limit ? Math.floor(BATCH_BYTES / (4 * width)) : undefined;
  const batches = new DataLoader(examples, { batchSize, order: 'file', seed: 0, padId: config.padTokenId, maxLength });
  const classifier = toPeftModel(engine, assembly);
  const forward = new InferenceSession(classifier, {}, rowsPerRun);
  let windows: Window[] = [];
  try {
    for (const batch of batches.epoch(0)) {
      await forward.prepare(batch);
      const values = await forward.run(batch);
      for (const [row, index] of batch.indices.entries()) {
        const example = examples[index] as EncodedExample;
        const scores = Array.from(example.ids, (_, token) => {
          const start = (row * batch.seq + token) * width;
          return [...values.subarray(start, start + width)];
        });
        windows.push({ example, scores });
        if (examples[index + 1]?.window) continue;
        yield windows;
        windows = [];
      }
    }
  } finally {
    forward.dispose();
    classifier.parameters.free();
  }
}
