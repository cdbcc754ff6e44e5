/** Room: models/families. RoBERTa (Liu et al. 2019) and XLM-R (Conneau et al. 2020): BERT with other positions and heads. */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { Architecture, ModelConfig } from '../architecture.ts';
import { readKeys, token, type ConfigFile } from '../schema.ts';
import { encoderArchitecture, encoderConfig, encoderHeads, encoderKeys } from './bert.ts';

const schema = z.looseObject({ ...encoderKeys, pad_token_id: token.nullish().transform((id) => id ?? 1) });

const CLASS_NAMES = { roberta: 'Roberta', 'xlm-roberta': 'XLMRoberta' } as const;

export function roberta(file: ConfigFile, family: keyof typeof CLASS_NAMES = 'roberta'): ModelConfig {
  const keys = readKeys(file, schema);
  const d = keys.hidden_size;
  // The first positions are those of padding: tokens count from the one after.
  const first = keys.pad_token_id + 1;
  const architecture = {
    ...encoderArchitecture('roberta', keys),
    className: CLASS_NAMES[family],
    positions: { count: 'ids', first },
    heads: {
      ...encoderHeads('roberta', keys),
      classification: {
        reads: 'first-token',
        frozen: [],
        trained: [
          { name: 'classifier.dense', outFeatures: d, bias: true, activation: 'tanh' },
          { name: 'classifier.out_proj', bias: true },
        ],
      },
      'masked-lm': {
        reads: 'every-token',
        // RobertaLMHead's activation is GELU whatever `hidden_act` says.
        frozen: [{ name: 'lm_head.dense', outFeatures: d, bias: true, activation: 'gelu', norm: 'lm_head.layer_norm' }],
        trained: [],
        vocabulary: {
          module: 'lm_head.decoder',
          tied: keys.tie_word_embeddings,
          bias: true,
          otherBias: 'lm_head.bias',
        },
      },
    },
  } as const satisfies Architecture;
  const { max_position_embeddings: rows } = keys;
  const config = encoderConfig(family, architecture, keys, file, rows - first);
  if (rows > first) return config;
  const expected = 'expected more than pad_token_id + 1';
  throw new UserError(`${file.path}: key "max_position_embeddings": found ${rows}, ${expected}`);
}

export function xlmRoberta(file: ConfigFile): ModelConfig {
  return roberta(file, 'xlm-roberta');
}
