/** Room: models. Position ids of a batch, as each family counts them. */
import type { EncoderConfig } from './config.ts';

/**
 * BERT counts from 0; RoBERTa counts tokens from `pad_token_id` + 1 and gives padding tokens `pad_token_id`, told by their id
 * (transformers' `create_position_ids_from_input_ids`).
 * @param inputIds [batch·seq]
 * @returns [batch·seq]
 */
export function positionIds(config: EncoderConfig, inputIds: Int32Array, batch: number, seq: number): Int32Array {
  const ids = new Int32Array(batch * seq);
  for (let row = 0; row < batch; row++) {
    let count = 0;
    for (let i = row * seq; i < (row + 1) * seq; i++) {
      if (config.family === 'bert') ids[i] = i - row * seq;
      else ids[i] = inputIds[i] === config.padTokenId ? config.padTokenId : config.padTokenId + ++count;
    }
  }
  return ids;
}
