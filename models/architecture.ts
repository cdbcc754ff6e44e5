/**
 * Room: models. What a transformer is, as data: sizes, the names of its weights, and the few choices in which families differ. One
 * forward pass (`transformer.ts`), one loader and one surgery read it; a family's file writes it.
 */

/**
 * `gelu` is the exact (erf) one, `gelu_tanh` its tanh approximation; `silu` is x·sigmoid(x), `quick_gelu` x·sigmoid(1.702·x).
 */
export type Activation = 'gelu' | 'gelu_tanh' | 'quick_gelu' | 'relu' | 'tanh' | 'silu';

/** What transformers calls an activation, and what it is here. */
export const ACTIVATION_NAMES = {
  gelu: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  relu: 'relu',
  tanh: 'tanh',
  silu: 'silu',
  swish: 'silu',
  gelu_python: 'gelu',
  gelu_fast: 'gelu_tanh',
  gelu_accurate: 'gelu_tanh',
  quick_gelu: 'quick_gelu',
} as const satisfies Record<string, Activation>;

/** Sizes of one layer; pruning makes them differ between layers. */
export interface LayerShape {
  /** Query heads. */
  readonly heads: number;
  /** Heads of keys and values; fewer than of queries in grouped-query attention. */
  readonly kvHeads: number;
  /** The key/value head that each query head reads; absent: equally many neighbours share one. */
  readonly kvHeadOf?: readonly number[];
  readonly neurons: number;
}

/**
 * What a linear layer of a block does. `queryKeyValue` computes all three, one after the other, in the place of `query`, `key` and
 * `value`; a block with a `gate` has activation(gate)·up where others have activation(up).
 */
export type Role = 'query' | 'key' | 'value' | 'queryKeyValue' | 'attentionOutput' | 'gate' | 'up' | 'down';

/** A linear layer of a block: its name below the layer's prefix. */
export interface BlockLinear {
  readonly name: string;
  readonly bias: boolean;
}

/** Names of normalisations, without `.weight`; those of a block below the layer's prefix. */
export interface Block {
  /** Of layer n, e.g. `roberta.encoder.layer.3`. */
  readonly prefix: (layer: number) => string;
  /** In the order of the forward pass. */
  readonly linears: Readonly<Partial<Record<Role, BlockLinear>>>;
  readonly attentionNorm: string;
  readonly ffnNorm: string;
  /** What is normalised: a sublayer's input (pre-norm), or the sum of its output and its residual (post-norm). */
  readonly preNorm: boolean;
  /** Whether a token sees only itself and those before it. */
  readonly causal: boolean;
  /** What the attention scores of layer n are multiplied by; absent: 1/√headDim. */
  readonly attentionScale?: (layer: number) => number;
}

/** Names of embedding tables and of what follows them, without `.weight`. */
export interface Embeddings {
  readonly words: string;
  readonly positions?: string;
  readonly types?: string;
  readonly norm?: string;
  /** A linear layer without bias from word vectors to hidden states of another size. */
  readonly project?: string;
}

/** How position ids count: every place, tokens told by not being the pad id, or tokens told by the mask; the first one is `first`. */
export interface Positions {
  readonly count: 'places' | 'ids' | 'mask';
  readonly first: number;
}

/** Rotary positions (Su et al. 2021): the angle of a pair of features is position · frequency. */
export interface Rotary {
  readonly theta: number;
  readonly scaling: RotaryScaling | undefined;
}

/** Frequencies for contexts longer than those of pretraining. */
export type RotaryScaling =
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalPositions: number;
    }
  | {
      readonly type: 'yarn';
      readonly factor: number;
      /** Turns within the original positions: frequencies with more are kept, with fewer divided. */
      readonly betaFast: number;
      readonly betaSlow: number;
      /** Whether the bounds between kept and divided frequencies are whole pairs. */
      readonly truncate: boolean;
      readonly originalPositions: number;
      /** Factor of cosines and sines. */
      readonly amplitude: number;
    };

/** What a model ends in; each is a class of transformers. */
export const HEAD_KINDS = [
  'classification',
  'multiple-choice',
  'question-answering',
  'masked-lm',
  'causal-lm',
] as const;

/** What a head is for. */
export type HeadKind = (typeof HEAD_KINDS)[number];

/** A linear layer of a head, with what follows it. */
export interface HeadLinear {
  readonly name: string;
  /** Absent: one output per label. */
  readonly outFeatures?: number;
  readonly bias: boolean;
  readonly activation?: Activation;
  /** Layer normalisation after the activation. */
  readonly norm?: string;
}

/** A task head: linear layers on some tokens, then, for language models, scores of the vocabulary. */
export interface Head {
  readonly reads: 'first-token' | 'last-token' | 'every-token';
  /** Not trained with the task: part of the pretrained model. */
  readonly frozen: readonly HeadLinear[];
  /** Trained with the task: `modules_to_save` of PEFT. */
  readonly trained: readonly HeadLinear[];
  readonly vocabulary?: VocabularyLayer;
}

/** The linear layer that scores the vocabulary, weight [vocabulary, features]. */
export interface VocabularyLayer {
  readonly module: string;
  /** Whether its matrix is the word embedding's, until one of the two is trained whole. */
  readonly tied: boolean;
  /** Not tied, though the configuration says so: the checkpoint has two matrices that differ. */
  readonly untiedByFile?: true;
  readonly bias: boolean;
  /** Another name of its bias in files of models that are tied by their configuration. */
  readonly otherBias?: string;
}

export interface Architecture {
  /** Begins every base weight's name, e.g. `roberta.`; checkpoints of bare models leave it out. */
  readonly prefix: string;
  /** Other beginnings under which checkpoints have the same weights. */
  readonly otherPrefixes?: readonly string[];
  /** What transformers' classes begin with, e.g. `Roberta`. */
  readonly className: string;
  readonly embeddings: Embeddings;
  readonly block: Block;
  readonly norm: 'layer' | 'rms';
  /** After the last layer. */
  readonly finalNorm?: string;
  /** A linear layer without bias after the last layer. */
  readonly finalProject?: string;
  readonly positions: Positions;
  readonly rotary?: Rotary;
  /** Whether files hold linear weights of blocks as [in, out]; here they are [out, in] always. */
  readonly storedInOut: boolean;
  readonly heads: Readonly<Partial<Record<HeadKind, Head>>>;
}

/** `config.json` as the forward pass takes it: sizes, and the family's architecture as data. */
export interface ModelConfig {
  /** `model_type`. */
  readonly family: string;
  readonly architecture: Architecture;
  readonly vocabSize: number;
  /** Rows of the vocabulary's matrices in the checkpoint's files, where `resizeVocabulary` changed them. */
  readonly savedVocabSize?: number | undefined;
  /** Features of a token, D. */
  readonly hiddenSize: number;
  /** Features of a word vector, and of a hidden state after the last layer; D unless embeddings are projected. */
  readonly embeddingSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** Heads of keys and values; `numHeads` unless queries share them. */
  readonly kvHeads: number;
  /** Features of a head. */
  readonly headDim: number;
  /** Neurons of the feed-forward network, F. */
  readonly intermediateSize: number;
  readonly hiddenAct: Activation;
  readonly normEps: number;
  /** Rows of the position embedding. */
  readonly maxPositions: number;
  /** Longest sequence. */
  readonly maxTokens: number;
  /** Rows of the segment embedding; 0 = there is none. */
  readonly typeVocabSize: number;
  /** What batches are padded with. */
  readonly padTokenId: number;
  /** Whether the file names a pad token: else the last token of a sequence is told by the mask. */
  readonly hasPadToken: boolean;
  readonly hiddenDropout: number;
  readonly attentionDropout: number;
  readonly classifierDropout: number;
  /** Standard deviation of fresh weights. */
  readonly initializerRange: number;
  /** Class names by index; `LABEL_0`, `LABEL_1` … where the file gives none. */
  readonly labels: readonly string[];
  readonly problemType: 'single_label_classification' | 'multi_label_classification' | 'regression' | undefined;
  /** The file as it was, to be written back. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** The layers of an unpruned model. */
export function fullLayers({ numLayers, numHeads, kvHeads, intermediateSize }: ModelConfig): LayerShape[] {
  return Array.from({ length: numLayers }, () => ({ heads: numHeads, kvHeads, neurons: intermediateSize }));
}

/** A layer that PEFT modules may be attached to: a linear one, weight [outFeatures, inFeatures]. */
export interface LinearLayer {
  /** Hugging Face module name. */
  readonly name: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** An embedding instead, whose rows are looked up: weight [inFeatures, outFeatures]. */
  readonly isEmbedding?: true;
}

/** A linear layer inside a block. */
export interface PlacedLinear extends LinearLayer {
  readonly layer: number;
  readonly role: Role;
  readonly bias: boolean;
}

/** The linear layers of all blocks, in the order of the forward pass. @param layers sizes left by pruning */
export function linearLayers(config: ModelConfig, layers: readonly LayerShape[] = fullLayers(config)): PlacedLinear[] {
  const { block } = config.architecture;
  return layers.flatMap((shape, layer) =>
    Object.entries(block.linears).map(([role, { name, bias }]) => {
      const [inFeatures, outFeatures] = sizesOf(role as Role, config, shape);
      return { name: `${block.prefix(layer)}.${name}`, inFeatures, outFeatures, layer, role: role as Role, bias };
    }),
  );
}

function sizesOf(role: Role, { hiddenSize: d, headDim }: ModelConfig, shape: LayerShape): readonly [number, number] {
  const [queries, keys] = [shape.heads * headDim, shape.kvHeads * headDim];
  const sizes: Record<Role, readonly [number, number]> = {
    query: [d, queries],
    key: [d, keys],
    value: [d, keys],
    queryKeyValue: [d, queries + 2 * keys],
    attentionOutput: [queries, d],
    gate: [d, shape.neurons],
    up: [d, shape.neurons],
    down: [shape.neurons, d],
  };
  return sizes[role];
}

/** The linear layers around the blocks: projections of word vectors and of the last hidden states. */
export function outerLinears({ architecture, hiddenSize, embeddingSize }: ModelConfig): LinearLayer[] {
  const { embeddings, finalProject } = architecture;
  const into = embeddings.project;
  return [
    ...(into === undefined ? [] : [{ name: into, inFeatures: embeddingSize, outFeatures: hiddenSize }]),
    ...(finalProject === undefined ? [] : [{ name: finalProject, inFeatures: hiddenSize, outFeatures: embeddingSize }]),
  ];
}

/** The embeddings, as layers that LoRA may be attached to. */
export function embeddingTables(config: ModelConfig): LinearLayer[] {
  const { embeddings, positions } = config.architecture;
  const { words, types } = embeddings;
  // Where the mask tells positions, transformers' own embedding is not called with them, and PEFT cannot adapt it.
  const places = positions.count === 'mask' ? undefined : embeddings.positions;
  const table = (name: string | undefined, inFeatures: number, outFeatures: number): LinearLayer[] =>
    name === undefined ? [] : [{ name, inFeatures, outFeatures, isEmbedding: true }];
  return [
    ...table(words, config.vocabSize, config.embeddingSize),
    ...table(places, config.maxPositions, config.hiddenSize),
    ...table(types, config.typeVocabSize, config.hiddenSize),
  ];
}

/** Full name of a block's linear layer. @throws Error where the block has none of that role */
export function linearName({ architecture: { block } }: ModelConfig, layer: number, role: Role): string {
  const linear = block.linears[role];
  if (!linear) throw new Error(`the block has no ${role}`);
  return `${block.prefix(layer)}.${linear.name}`;
}
