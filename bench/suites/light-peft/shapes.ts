/** Room: bench/suites. Shapes of published models, divided until the adapter can train them in reasonable time. */
import type { Engine } from '../../../engine/engine.ts';
import type { BatchShape } from '../../encoder/cost.ts';
import type { EncoderShape } from '../../encoder/model.ts';

export const DIVISORS = [1, 2, 3, 4, 6, 8, 12, 16];

/** Longest predicted LoRA step, in seconds, for which a model keeps its size. */
export const LONGEST_STEP = 1.5;

export interface Fitted {
  readonly shape: EncoderShape;
  /** `whole`, or what it was divided by. */
  readonly label: string;
}

export function fit(model: EncoderShape, divisor: number, seq: number): Fitted {
  const heads = Math.max(2, Math.round(model.heads / divisor));
  const headDim = model.hidden / model.heads;
  const shape: EncoderShape = {
    layers: Math.min(model.layers, Math.max(4, Math.round(model.layers / divisor))),
    hidden: heads * headDim,
    heads,
    neurons: (heads * model.neurons) / model.heads,
    vocab: Math.ceil(model.vocab / divisor),
    positions: seq,
  };
  const widths = `${shape.layers} layers of ${shape.hidden} and ${shape.neurons}, ${heads} heads`;
  return { shape, label: divisor === 1 ? `whole: ${widths}` : `÷ ${divisor}: ${widths}` };
}

export function divisorFor(model: EncoderShape, batch: BatchShape, productRate: number, { limits }: Engine): number {
  const fits = (divisor: number): boolean => {
    const { shape } = fit(model, divisor, batch.seq);
    const parameters = shape.layers * shape.hidden * (4 * shape.hidden + 2 * shape.neurons);
    const largest = 4 * shape.hidden * Math.max(shape.vocab, shape.neurons);
    const seconds = (4 * parameters * batch.batch * batch.seq) / productRate;
    return seconds <= LONGEST_STEP && largest <= limits.maxStorageBufferBindingSize;
  };
  return DIVISORS.find(fits) ?? DIVISORS.at(-1)!;
}
