/** Room: peft/lora. What LoRA and DoRA share: the factors A [ranks, in] and B [out, ranks], their product, how they start. */
import type { Tensor } from '../../engine/graph/tensor.ts';
import { permute } from '../../engine/ops/copy.ts';
import { mul } from '../../engine/ops/elementwise.ts';
import { gatherRows } from '../../engine/ops/gather.ts';
import { maskColumns } from '../../engine/ops/mask.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { uniformIn, valueOf, type Rng, type Factor, type PeftModule, type PeftRun, type StateDict } from '../module.ts';
import type { LoraConfig } from './config.ts';

export function loraNames({ name, isEmbedding }: Pick<PeftModule, 'name' | 'isEmbedding'>): {
  readonly down: string;
  readonly up: string;
} {
  return isEmbedding
    ? { down: `${name}.lora_embedding_A`, up: `${name}.lora_embedding_B` }
    : { down: `${name}.lora_A.weight`, up: `${name}.lora_B.weight` };
}

export function loraFactors(module: PeftModule): Factor[] {
  const { down, up } = loraNames(module);
  return [
    { name: down, axes: ['rank', 'in'] },
    { name: up, axes: ['out', 'rank'] },
  ];
}

/** scaling · B·A·x, masked ranks left out. @param x f32 [tokens, in]; of embeddings i32, the ids that choose columns of A */
export function loraDelta(run: PeftRun, module: PeftModule, x: Tensor): Tensor {
  const names = loraNames(module);
  const a = run.parameter(names.down);
  const product = module.isEmbedding ? gatherRows(permute(a, [1, 0]), x) : matmul(x, a, { transposeB: true });
  const down = mul(product, module.scaling);
  const mask = run.rankMask?.(module);
  const ranks = mask ? maskColumns(down, mask) : down;
  return matmul(ranks, run.parameter(names.up), { transposeB: true });
}

/** scaling · B·A in float64, row by row: [out, in]. */
export function deltaRow(module: PeftModule, values: StateDict, out: number): Float64Array {
  const { inFeatures, ranks, scaling } = module;
  const names = loraNames(module);
  const [down, up] = [valueOf(values, names.down), valueOf(values, names.up)];
  const row = new Float64Array(inFeatures);
  for (let rank = 0; rank < ranks; rank++) {
    const factor = scaling * up[out * ranks + rank]!;
    for (let i = 0; i < inFeatures; i++) row[i] = row[i]! + factor * down[rank * inFeatures + i]!;
  }
  return row;
}

/**
 * Factors as PEFT starts them: A Kaiming-uniform with a = √5 (±1/√in) or, for `gaussian`, normal with deviation 1/r; B zero. With
 * `false` B is drawn too (±1/√r), as a linear layer starts; `eva` starts as `true` does without its data pass; `orthogonal`
 * (rows of one orthonormal basis, the even ones for B and the odd ones for A) makes B·A = 0. On embeddings A is zero and B
 * normal, with `false` both normal.
 */
export function initLora(module: PeftModule, { init }: LoraConfig, draw: Rng): Map<string, Float32Array> {
  const { ranks, inFeatures, outFeatures } = module;
  const names = loraNames(module);
  const sizes = { down: ranks * inFeatures, up: outFeatures * ranks };
  if (module.isEmbedding) {
    const normal = (size: number): Float32Array => Float32Array.from({ length: size }, () => draw.normal());
    const a = init === false ? normal(sizes.down) : new Float32Array(sizes.down);
    return new Map([
      [names.down, a],
      [names.up, normal(sizes.up)],
    ]);
  }
  if (init === 'orthogonal') return orthogonal(module, draw);
  const down =
    init === 'gaussian'
      ? Float32Array.from({ length: sizes.down }, () => draw.normal() / ranks)
      : uniformIn(1 / Math.sqrt(inFeatures), sizes.down, draw);
  const up = init === false ? uniformIn(1 / Math.sqrt(ranks), sizes.up, draw) : new Float32Array(sizes.up);
  return new Map([
    [names.down, down],
    [names.up, up],
  ]);
}

/** A and B random combinations of orthogonal directions of rank space, so that B·A = 0 at first. */
function orthogonal(module: PeftModule, draw: Rng): Map<string, Float32Array> {
  const { ranks, inFeatures, outFeatures } = module;
  const names = loraNames(module);
  const basis = orthonormal(ranks, draw);
  const half = Math.floor(ranks / 2);
  const down = new Float32Array(ranks * inFeatures);
  const up = new Float32Array(outFeatures * ranks);
  for (let k = 0; k < half; k++) {
    const [even, odd] = [basis[2 * k] as Float64Array, basis[2 * k + 1] as Float64Array];
    for (let i = 0; i < inFeatures; i++) {
      const weight = draw.normal() / 10;
      for (let r = 0; r < ranks; r++) down[r * inFeatures + i]! += odd[r]! * weight;
    }
    for (let o = 0; o < outFeatures; o++) {
      const weight = draw.normal() / 10;
      for (let r = 0; r < ranks; r++) up[o * ranks + r]! += even[r]! * weight;
    }
  }
  return new Map([
    [names.down, down],
    [names.up, up],
  ]);
}

/** Gram–Schmidt on normal vectors: n orthonormal vectors of n numbers. */
function orthonormal(n: number, draw: Rng): Float64Array[] {
  const basis: Float64Array[] = [];
  while (basis.length < n) {
    const v = Float64Array.from({ length: n }, () => draw.normal());
    for (const b of basis) {
      const dot = v.reduce((sum, x, i) => sum + x * b[i]!, 0);
      v.forEach((x, i) => (v[i] = x - dot * b[i]!));
    }
    const norm = Math.hypot(...v);
    if (norm > 1e-6) basis.push(v.map((x) => x / norm));
  }
  return basis;
}
