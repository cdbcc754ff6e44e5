/**
 * Room: models. Where PEFT modules, masks and probes reach into a model's forward pass. A model calls every intervention at
 * these points and knows nothing of what they do; with none it is the plain model.
 */
import type { Tensor } from '../engine/graph/tensor.ts';

/** Changes a forward pass. Tensors are f32 [tokens, features]; each method returns the tensor to go on with. */
export interface ForwardHooks {
  /**
   * Before a linear layer.
   * @param name Hugging Face module name
   * @param x the layer's input
   */
  input?(name: string, x: Tensor): Tensor;
  /**
   * After a linear layer.
   * @param name Hugging Face module name, e.g. `roberta.encoder.layer.0.attention.self.query`
   * @param x the layer's input
   * @param y its output, bias included
   */
  linear?(name: string, x: Tensor, y: Tensor): Tensor;
  /**
   * After an embedding's lookup.
   * @param name Hugging Face module name, e.g. `roberta.embeddings.word_embeddings`
   * @param ids i32, one per token
   * @param y the rows of these ids
   */
  lookup?(name: string, ids: Tensor, y: Tensor): Tensor;
  /**
   * After a sublayer's output projection, before the residual is added.
   * @param name of the output projection, e.g. `….layer.0.attention.output.dense`
   * @param y the projection's output
   * @param input what entered the sublayer, and will be added as its residual
   * @param normed the sum of the two as the next layer takes it: normalised where the sublayer normalises its output
   */
  sublayer?(name: string, y: Tensor, input: Tensor, normed: () => Tensor): Tensor;
  /** The heads' concatenated contexts of a layer [tokens, heads·headDim], before the output projection. */
  context?(layer: number, context: Tensor): Tensor;
  /** The activated intermediate of a layer's feed-forward network [tokens, neurons]. */
  intermediate?(layer: number, activated: Tensor): Tensor;
  /** f32 [heads]: attention skips the heads of a layer whose entry is 0. */
  activeHeads?(layer: number): Tensor | undefined;
}
