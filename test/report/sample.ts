/**
 * A synthetic comparison for tests: the shape of a full one (two tasks, six methods, three seeds, four layers of eight heads
 * and 1,024 neurons, LoRA of rank 8 on six linears), every number invented. Nothing here was measured.
 */
import type { Comparison, Plan, Run } from '../../report/schema.ts';

const LAYERS = 4;
const HEADS = 8;
const NEURONS = 1024;
const LINEARS = [
  'attention.self.query',
  'attention.self.key',
  'attention.self.value',
  'attention.output.dense',
  'intermediate.dense',
  'output.dense',
];
const KINDS = ['weights', 'trainables', 'optimizer', 'gradients', 'io', 'activations'];

interface Shape {
  readonly method: string;
  readonly label: string;
  /** Fraction left of the blocks and of the trainable parameters. */
  readonly blocks: number;
  readonly trainable: number;
  /** Points lost against LoRA, as a fraction. */
  readonly loss: number;
}

const SHAPES: readonly Shape[] = [
  { method: 'lora', label: 'LoRA without pruning', blocks: 1, trainable: 1, loss: 0 },
  { method: 'light-peft', label: 'Light-PEFT', blocks: 0.587, trainable: 0.236, loss: 0.004 },
  { method: 'random', label: 'Random pruning', blocks: 0.587, trainable: 0.236, loss: 0.041 },
  { method: 'foundation-only', label: 'Foundation pruning only', blocks: 0.587, trainable: 0.71, loss: 0.003 },
  { method: 'peft-only', label: 'PEFT pruning only', blocks: 1, trainable: 0.25, loss: 0.001 },
  { method: 'lora-random-init', label: 'LoRA on random weights', blocks: 1, trainable: 1, loss: 0.13 },
];

/** Deterministic numbers in [0, 1): mulberry32. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function sampleComparison(): Comparison {
  const tasks = [
    { name: 'sentiment', top: 0.862, trainExamples: 2392, evalExamples: 598, plain: [0.843, 0.842] },
    { name: 'spam', top: 0.986, trainExamples: 2441, evalExamples: 610, plain: [0.983, 0.971] },
  ] as const;
  return {
    format: 'light-peft/comparison',
    version: 1,
    meta: {
      date: '2025-01-31T12:00:00Z',
      command: 'npx light-peft run --model models/base --task sentiment --peft lora --seed 1 --out out/sentiment',
      adapter: 'llvmpipe (LLVM 19.1.7, 256 bits), Mesa 25.0.7',
      software: true,
      model: 'synthetic-roberta (4 layers, 256 wide)',
      fingerprint: 'sha256:5a3c9e0f7b21',
      versions: { 'light-peft': '0.1.0', webgpu: '0.6.2', node: '20.19.0' },
      reference: 'lora',
    },
    tasks: tasks.map(({ name, trainExamples, evalExamples, plain }) => ({
      name,
      trainExamples,
      evalExamples,
      baseline: { name: 'TF-IDF + logistic regression', accuracy: plain[0], f1: plain[1] },
    })),
    runs: tasks.flatMap(({ name, top }, t) =>
      SHAPES.flatMap((shape, s) => [1, 2, 3].map((seed) => sampleRun(name, shape, top, seed, t * 100 + s * 10 + seed))),
    ),
  };
}

function sampleRun(task: string, shape: Shape, top: number, seed: number, salt: number): Run {
  const random = generator(salt * 7919);
  const accuracy = top - shape.loss + (random() - 0.5) * 0.012;
  const speed = (1 / shape.blocks) ** 0.85 * (0.98 + 0.04 * random());
  const blockTotal = 3_159_040;
  const blockLeft = Math.round(blockTotal * shape.blocks);
  const pruned = shape.blocks < 1 || shape.trainable < 1;
  const peaks = memoryRows(shape);
  const full = peaks.reduce((best, row) => (sum(row) > sum(best) ? row : best));
  const trainSeconds = 51 / speed;
  return {
    task,
    method: shape.method,
    label: shape.label,
    seed,
    metrics: { accuracy, f1: accuracy - 0.004 + random() * 0.008, loss: 0.34 + shape.loss * 2 + 0.02 * random() },
    foundation: { total: 4_207_616 + blockTotal, left: 4_207_616 + blockLeft, blockTotal, blockLeft },
    trainable: { total: 246_018, left: Math.round(246_018 * shape.trainable) },
    speed: {
      trainTokensPerSecond: 4710 * speed,
      inferExamplesPerSecond: 118 * speed,
      estimateSeconds: pruned && shape.method !== 'random' ? 9.4 : 0,
      pruneSeconds: pruned ? 0.12 : 0,
      trainSeconds,
    },
    memory: {
      trainPeakBytes: sum(full),
      inferPeakBytes: 29_500_000 + blockLeft * 4 * 1.6,
      byKind: Object.fromEntries(KINDS.map((kind, i) => [kind, full[i]!])),
    },
    artefactBytes: 246_018 * 4 * shape.trainable + 14_200,
    curves: [
      ...(pruned && shape.method !== 'random' ? [sampleCurve('estimate', 60, 0.69, 0.5, random)] : []),
      sampleCurve('train', 240, pruned && shape.method !== 'random' ? 0.52 : 0.69, 0.16 + shape.loss, random),
    ],
    timeline: { labels: KINDS, points: peaks },
    ...(pruned ? { plan: samplePlan(shape, random) } : {}),
  };
}

function sampleCurve(
  phase: 'estimate' | 'train',
  steps: number,
  from: number,
  to: number,
  random: () => number,
): Run['curves'][number] {
  const step = Array.from({ length: steps }, (_, i) => i);
  return {
    phase,
    step,
    loss: step.map((i) => to + (from - to) * Math.exp((-3 * i) / steps) + (random() - 0.5) * 0.12),
  };
}

/** Activations rise through the forward pass and fall through the backward pass, with a workspace on top of every other step. */
function memoryRows(shape: Shape): number[][] {
  const dispatches = 320;
  return Array.from({ length: dispatches }, (_, i) => {
    const ramp = i < 130 ? i / 130 : Math.max(0, (dispatches - i) / (dispatches - 130));
    const activations = shape.blocks ** 0.9 * (38e6 * ramp + (i % 4 === 0 ? 9e6 : 2e6));
    const trainables = 984e3 * shape.trainable;
    return [
      16.8e6 + 12.6e6 * shape.blocks,
      trainables,
      2 * trainables,
      i > 130 ? trainables : 0,
      0.2e6,
      activations,
    ].map(Math.round);
  });
}

function samplePlan(shape: Shape, random: () => number): Plan {
  const layers = Array.from({ length: LAYERS }, (_, l) => {
    const keep = shape.blocks < 1 ? 0.72 - 0.06 * l : 1;
    const heads = shape.blocks < 1 ? [5, 6, 5, 5][l]! : HEADS;
    const order = Array.from({ length: HEADS }, (_, i) => ({ i, score: random() + (i % 3 === l % 3 ? 0.4 : 0) }));
    return {
      heads: HEADS,
      keptHeads: order
        .sort((a, b) => b.score - a.score)
        .slice(0, heads)
        .map((h) => h.i)
        .sort((a, b) => a - b),
      neurons: NEURONS,
      keptNeurons: Array.from({ length: NEURONS }, (_, i) => i).filter(
        (i) => random() < keep - 0.3 * Math.sin(i * 12.9898 + l),
      ),
    };
  });
  const scored = Array.from({ length: LAYERS }, (_, l) =>
    LINEARS.map((linear, k) => ({
      name: `roberta.encoder.layer.${l}.${linear}`,
      importance: 0.004 + 0.03 * random() ** 2 * (1 + l / 2) * (k > 1 ? 1.5 : 0.7),
    })),
  ).flat();
  const left = shape.trainable < 1 ? 6 : scored.length;
  const threshold = scored.map((m) => m.importance).sort((a, b) => b - a)[left - 1]!;
  const modules = scored.map((m) => {
    const kept = m.importance >= threshold;
    const ranks = Array.from({ length: 8 }, () => ({ importance: m.importance * 1e-3 * random() ** 2, kept }));
    return { ...m, kept, ranks };
  });
  const scores = modules
    .filter((m) => m.kept)
    .flatMap((m) => m.ranks.map((r) => r.importance))
    .sort((a, b) => a - b);
  const middle = shape.trainable < 1 ? scores[scores.length >> 1]! : 0;
  for (const module of modules) for (const rank of module.ranks) rank.kept = module.kept && rank.importance >= middle;
  return { layers, modules };
}

/** Distances that fall, those of heads the slowest. */
export function sampleStability(seed: number): NonNullable<Run['stability']> {
  const steps = 40 + 2 * seed;
  const distances = Array.from({ length: 9 }, (_, i) => {
    const distance = 0.05 * (9 - i);
    return { step: 8 + 4 * i, heads: distance, neurons: 0.8 * distance, modules: 0.5 * distance, ranks: 0 };
  });
  return { steps, window: 4, threshold: 0.1, queue: 4, minSteps: 1, maxSteps: 64, reached: true, distances };
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

/** What a model's folder may say of it. */
export function sampleContext(): NonNullable<Comparison['meta']['context']> {
  return {
    note: 'synthetic-roberta is a small model: it is for trying things, and a bag of words does as well as it does here.',
    title: 'The same on a pretrained model, which is large enough for its figures to tell something of the method',
    columns: [
      'method',
      'blocks left',
      'trainables left',
      'sst2, accuracy',
      'cola, matthews',
      'mrpc, f1',
      'rte, accuracy',
    ],
    rows: [
      ['lora, no pruning', '100%', '100%', '85.8 ± 0.1 (5)', '30.2 ± 1.1 (5)', '82.4 ± 0.6 (5)', 'not run'],
      [
        'lora, random as Light-PEFT+ 1/2',
        '50%',
        '35%',
        '80.4 ± 0.2 (5)',
        '11.0 ± 4.0 (3)',
        '81.0 ± 0.4 (3)',
        'not run',
      ],
    ],
    source: 'Percent, mean ± deviation over seeds: bench/paper/RESULTS.md.',
  };
}
