/** Room: engine/ops. Matrix products, and sums of them in one kernel. */
import { matmul as matmulKernel, matmulTuningTask, RANDOM_INPUTS, type ProductDrop } from '../../kernels/matmul.ts';
import { showShape, sizeOf } from '../graph/shape.ts';
import { emit, type Node, type Op, type Tensor } from '../graph/tensor.ts';
import { reshape } from './leaf.ts';

/** How the operands of one product lie in memory: a is [m,k] or [k,m], b is [k,n] or [n,k]. */
export interface ProductLayout {
  readonly k: number;
  readonly a: 'mk' | 'km';
  readonly b: 'kn' | 'nk';
  /** Dropout drawn in the kernel; put there by the compiler, after differentiation. */
  readonly drop?: ProductDrop;
}

/**
 * Σ_t a_t·b_t of shape [m, n]; the inputs are a_0, b_0, a_1, b_1, … With `parts`, the sum of as many of these, whose inputs follow
 * each other; each input lies beside its like in the next part. Where a term drops, seed and step come last.
 */
export interface MatmulAttrs {
  readonly m: number;
  readonly n: number;
  readonly terms: readonly ProductLayout[];
  readonly parts?: number;
}

export const matmulOp: Op<MatmulAttrs> = {
  name: 'matmul',
  lowering: {
    kind: 'anchor',
    takes: 'epilogue',
    kernel: ({ attrs, inputs }, epilogue, traits, selectConfig, apart) => {
      const terms = attrs.terms.map((term, t) => ({
        ...term,
        aType: storageType(inputs[2 * t]!),
        bType: storageType(inputs[2 * t + 1]!),
      }));
      const parts = attrs.parts && { count: attrs.parts, each: attrs.terms.flatMap(() => [true, true]), sum: true };
      const batch = parts || apart;
      const spec = { m: attrs.m, n: attrs.n, terms, epilogue, batch };
      return matmulKernel(spec, traits, selectConfig(matmulTuningTask(spec, traits)));
    },
  },
  vjp: ({ attrs, inputs }, [dy], needs) =>
    dy
      ? attrs.terms.flatMap((term, t) => {
          const [a, b] = [inputs[2 * t]!, inputs[2 * t + 1]!];
          return [
            needs[2 * t] ? gradientOfA(attrs, term, b, dy) : undefined,
            needs[2 * t + 1] ? gradientOfB(attrs, term, a, dy) : undefined,
          ];
        })
      : [],
};

/** An application of `matmulOp`. */
export interface ProductNode extends Node {
  readonly attrs: MatmulAttrs;
}

export function isProduct(node: Node | undefined): node is ProductNode {
  return node?.op === (matmulOp as Op);
}

/** The inputs of a product that are multiplied. */
export function operandsOfProduct({ attrs, inputs }: ProductNode): readonly Tensor[] {
  return inputs.slice(0, 2 * attrs.terms.length * (attrs.parts ?? 1));
}

/** What a product with dropout draws from; of others nothing. */
export function randomOfProduct({ attrs, inputs }: ProductNode): readonly Tensor[] {
  return inputs.slice(2 * attrs.terms.length * (attrs.parts ?? 1));
}

/** A product of one term that drops something. */
export function withDrop(
  { m, n, terms: [term] }: MatmulAttrs,
  operands: readonly Tensor[],
  drop: ProductDrop,
  random: readonly Tensor[],
): Tensor {
  const drawn = random.length > RANDOM_INPUTS.length ? { ...drop, fromToken: true } : drop;
  return emit(matmulOp, [...operands, ...random], { m, n, terms: [{ ...term!, drop: drawn }] }, [m, n]);
}

/** The first of some products, which differ in their operands and streams alone, with the streams of all. */
export function asBatch(products: readonly ProductNode[]): ProductNode {
  const [first] = products as [ProductNode];
  return { ...first, attrs: { ...first.attrs, terms: first.attrs.terms.map((_, t) => joinTerms(products, t)) } };
}

/** Term t of some products that differ in their streams alone, with the streams of all. */
export function joinTerms(products: readonly Pick<ProductNode, 'attrs'>[], t: number): ProductLayout {
  const terms = products.map(({ attrs }) => attrs.terms[t]!);
  const [{ drop, ...layout }] = terms as [ProductLayout];
  return drop ? { ...layout, drop: { ...drop, streams: terms.flatMap((term) => term.drop!.streams) } } : layout;
}

/** What is equal in products that differ in their streams alone. */
export function kindOfProduct(attrs: MatmulAttrs): string {
  return JSON.stringify(attrs, (key, value: unknown) => (key === 'streams' ? undefined : value));
}

function storageType(tensor: Tensor): 'f32' | 'f16' {
  if (tensor.dtype === 'f32' || tensor.dtype === 'f16') return tensor.dtype;
  throw new Error(`matmul: operands are f32 or f16, got ${tensor.toString()}`);
}

function product(a: Tensor, b: Tensor, m: number, n: number, layout: ProductLayout): Tensor {
  return emit(matmulOp, [a, b], { m, n, terms: [layout] }, [m, n]);
}

/** dy·bᵀ, stored as a is. */
function gradientOfA({ m, n }: MatmulAttrs, { k, a, b }: ProductLayout, right: Tensor, dy: Tensor): Tensor {
  return a === 'mk'
    ? product(dy, right, m, k, { k: n, a: 'mk', b: b === 'kn' ? 'nk' : 'kn' })
    : product(right, dy, k, m, { k: n, a: b === 'kn' ? 'mk' : 'km', b: 'nk' });
}

/** aᵀ·dy, stored as b is. */
function gradientOfB({ m, n }: MatmulAttrs, { k, a, b }: ProductLayout, left: Tensor, dy: Tensor): Tensor {
  return b === 'kn'
    ? product(left, dy, k, n, { k: m, a: a === 'mk' ? 'km' : 'mk', b: 'kn' })
    : product(dy, left, n, k, { k: m, a: 'km', b: a === 'mk' ? 'kn' : 'nk' });
}

/**
 * a·b, or with the operands transposed. Leading dimensions of `a` are kept: [..., k] · [k, n] → [..., n].
 * @param a f32, [..., k], or [k, m] with `transposeA`
 * @param b f32 or f16, [k, n], or [n, k] with `transposeB` (how Hugging Face stores linear weights)
 * @returns f32, sums in f32
 * @throws Error naming both shapes where the inner dimensions differ
 */
export function matmul(a: Tensor, b: Tensor, { transposeA = false, transposeB = false } = {}): Tensor {
  const [b0, b1] = b.shape;
  if (b.shape.length !== 2 || b0 === undefined || b1 === undefined) throw mismatch(a, b);
  if (transposeA && a.shape.length !== 2) throw mismatch(a, b);
  const k = (transposeA ? a.shape[0] : a.shape.at(-1)) ?? 1;
  if (k !== (transposeB ? b1 : b0)) throw mismatch(a, b);
  const m = a.size / k;
  const n = transposeB ? b0 : b1;
  const flat = reshape(a, transposeA ? [k, m] : [m, k]);
  const c = product(flat, b, m, n, { k, a: transposeA ? 'km' : 'mk', b: transposeB ? 'nk' : 'kn' });
  return transposeA ? c : reshape(c, [...a.shape.slice(0, -1), n]);
}

function mismatch(a: Tensor, b: Tensor): Error {
  return new Error(
    `matmul: ${showShape(a.shape)} and ${showShape(b.shape)} do not fit (sizes ${sizeOf(a.shape)}, ${sizeOf(b.shape)})`,
  );
}
