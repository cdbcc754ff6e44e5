/** Room: peft-model. How likely the labelled tokens of sequences are: one number a sequence comes back from the device. */
import type { Batch } from '../data/data-loader.ts';
import { IGNORE_INDEX } from '../data/encoded-example.ts';
import { labelsOfRows, splitBatch } from '../data/micro-batches.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { mul } from '../engine/ops/elementwise.ts';
import { reshape } from '../engine/ops/leaf.ts';
import { sumLast } from '../engine/ops/reduce.ts';
import { InferenceSession, joinedRows } from './inference-session.ts';
import type { BatchInputs, ForwardOptions, PeftModel } from './peft-model.ts';

/**
 * The sum over a sequence's labelled tokens of the log of their probability: f32 [batch]. The vocabulary is scored for these tokens alone.
 * @param model with a head for causal language models
 * @param longest labelled tokens of a sequence, at most
 * @param options masks of a plan that is not applied physically
 */
export function likelihoodSession(model: PeftModel, longest: number, options: ForwardOptions = {}): InferenceSession {
  const perRow = (seq: number): number => Math.min(seq, longest);
  return new InferenceSession(model.engine, {
    name: 'likelihood',
    specs: ({ batch, seq }) => {
      const count = batch * perRow(seq);
      return { ...model.inputSpecs(batch, seq, { count }), labels: { shape: [count], dtype: 'i32' } };
    },
    inputs: (batch: Batch) => [{ ...model.inputValues(batch), ...labelledTokens(batch, perRow(batch.seq)) }],
    trace: (given) => {
      const inputs = given as BatchInputs & Readonly<Record<'rows' | 'labels', Tensor>>;
      const losses = model.tokenLosses(inputs, inputs.labels, options);
      return mul(sumLast(reshape(losses, [inputs.inputIds.shape[0]!, -1])), -1);
    },
    parts: {
      unit: () => 1,
      split: (batch, rows) => splitBatch(batch, rows, (labels, from) => labelsOfRows(labels, from, rows, batch.batch)),
      join: ({ batch }, parts) => joinedRows(parts, batch),
    },
  });
}

/** The tokens that are followed by a labelled one, as rows of [batch·seq], and those labels; −1 and −100 past a sequence's last. */
function labelledTokens({ batch, seq, labels }: Batch, perRow: number): { rows: Int32Array; labels: Int32Array } {
  const rows = new Int32Array(batch * perRow).fill(-1);
  const asked = new Int32Array(batch * perRow).fill(IGNORE_INDEX);
  for (let row = 0; row < batch; row++) {
    let next = row * perRow;
    for (let at = row * seq; at < (row + 1) * seq; at++) {
      if (labels[at]! < 0) continue;
      rows[next] = at;
      asked[next++] = labels[at]!;
    }
  }
  return { rows, labels: asked };
}
