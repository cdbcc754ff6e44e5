/** Room: models. Position ids of a batch, as each family counts them. */
import type { ModelConfig } from './architecture.ts';

/**
 * Position ids as transformers makes them. RoBERTa's padding is told by its id and gets the pad id as its position; OPT counts by the
 * mask, and its padding gets the position before the first. Of packed rows each segment is counted anew.
 * @param inputIds [batch·seq]
 * @param mask [batch·seq]
 * @returns [batch·seq]
 */
export function positionIds(
  { architecture: { positions }, padTokenId }: ModelConfig,
  {
    batch,
    seq,
    inputIds,
    attentionMask,
    segmentIds,
  }: {
    readonly batch: number;
    readonly seq: number;
    readonly inputIds: Int32Array;
    readonly attentionMask: Int32Array;
    /** [batch·seq] */
    readonly segmentIds?: Int32Array | undefined;
  },
): Int32Array {
  const { count, first } = positions;
  const ids = new Int32Array(batch * seq);
  for (let row = 0; row < batch; row++) {
    let next = first;
    for (let i = row * seq; i < (row + 1) * seq; i++) {
      if (segmentIds && segmentIds[i] !== segmentIds[i - 1]) next = first;
      const counts = count === 'places' || (count === 'ids' ? inputIds[i] !== padTokenId : attentionMask[i] === 1);
      ids[i] = counts ? next++ : first - 1;
    }
  }
  return ids;
}
