/** Room: bench/suites. LoRA, Light-PEFT at several ratios and full fine-tuning, on the shapes of published models. */
import type { Engine } from '../../engine/engine.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import type { Plan } from '../../pruning/plan.ts';
import { makePlan, prune } from '../../train/stages.ts';
import { settingsSchema, type Settings } from '../../train/settings.ts';
import type { Assembly } from '../../train/assembly.ts';
import { blockFlops, memoryBound, savedValues, type BatchShape, type Pass } from '../encoder/cost.ts';
import { benchSettings, openFull, openPeft, writeRandomModel, type EncoderShape } from '../encoder/model.ts';
import { assembled, makeResident, total, type Resident } from '../encoder/resident.ts';
import { softLogits } from '../encoder/soft.ts';
import { assertClose } from '../measure/closeness.ts';
import { alternate, rate, type Sample } from '../measure/sample.ts';
import type { Figure, Measured, Table, Target } from '../report/document.ts';
import { ownContender, type BenchContext, type Suite } from '../suite.ts';
import { randomData } from './kernel-cases.ts';

export const lightPeft: Suite = {
  name: 'light-peft',
  summary: 'LoRA, Light-PEFT and full fine-tuning at published shapes: speed and memory by ratio',
  peers: [],
  measure,
};

interface Published extends EncoderShape {
  readonly name: string;
}

const MODELS: readonly Published[] = [
  { name: 'RoBERTa-base', layers: 12, hidden: 768, heads: 12, neurons: 3072, vocab: 50265, positions: 512 },
  { name: 'RoBERTa-large', layers: 24, hidden: 1024, heads: 16, neurons: 4096, vocab: 50265, positions: 512 },
  { name: 'OPT-1.3B', layers: 24, hidden: 2048, heads: 32, neurons: 8192, vocab: 50272, positions: 2048 },
];

const RATIOS = [0, 0.2, 1 / 3, 0.5, 0.6];
const DIVISORS = [1, 2, 3, 4, 6, 8, 12, 16];

/** Longest predicted LoRA step, in seconds, for which a model keeps its size. */
const LONGEST_STEP = 0.75;

/** Settings whose effect is shown, where the settings table has them. */
const VARIANTS: readonly Readonly<Record<string, unknown>>[] = [
  { weights: 'f16' },
  { activations: 'f16' },
  { gradientCheckpointing: true },
  { embeddings: 'host' },
];

/** What the paper reports of its method, against LoRA. */
const CLAIMS = { speed: 1.6, train: 1 - 0.39, infer: 1 - 0.48 };

async function measure(context: BenchContext): Promise<Measured> {
  const { quick, engine } = context;
  const productRate = await measureProductRate(context);
  const batch: BatchShape = quick ? { batch: 2, seq: 16 } : { batch: 8, seq: 128 };
  const parts: Measured[] = [];
  const raced: Raced[] = [];
  for (const model of quick ? MODELS.slice(0, 1) : MODELS) {
    const fitted = fit(model, quick ? 16 : divisorFor(model, batch, productRate, engine), batch.seq);
    context.stage(`${model.name}, ${fitted.label}`);
    const result = await raceModel(context, model.name, fitted, batch);
    raced.push(result);
    parts.push(report(result, quick));
  }
  context.stage('settings that save memory');
  const variants = await raceVariants(context, raced[0]!, batch);
  return {
    tables: [...parts.flatMap((p) => p.tables), claimsTable(raced), variants],
    figures: parts.flatMap((p) => p.figures),
    targets: parts.flatMap((p) => p.targets),
    notes: [
      `Scaling rule: the width, its heads and neurons, the vocabulary and the layers (at least 4) are divided by the smallest of ${DIVISORS.join(', ')} for which a LoRA step is predicted to take at most ${LONGEST_STEP} s (4·P·T operations at the product rate of this run) and no tensor exceeds the adapter’s binding limit. Heads keep 64 features.`,
      'OPT’s shape is measured as an encoder block of the same widths: the engine has no decoder.',
      'Heads and neurons are chosen at random, heads within layers and neurons over the model; modules and ranks by the settings’ ratios.',
      'Before timing, the logits of each pruned model were compared with those of the whole model with masks at 0.',
      'Block FLOPs leave PEFT modules, embeddings and head out. Own share: what weights, trainables × 4 and the values that must be kept need, relative to LoRA.',
    ],
  };
}

async function measureProductRate({ engine, quick, timing }: BenchContext): Promise<number> {
  const n = quick ? 128 : 512;
  const [a, b] = [1, 2].map((seed) =>
    engine.variable('operand', [n, n], { kind: 'state', data: randomData(n * n, seed) }),
  );
  const program = await engine.compile('product', {}, () => ({ outputs: { c: matmul(a!.tensor, b!.tensor) } }));
  const own = ownContender(engine, () => program.run());
  const { median } = (await alternate([own], timing)).get(own.name)!;
  program.dispose();
  engine.free(a!);
  engine.free(b!);
  return (2 * n ** 3) / median;
}

interface Fitted {
  readonly shape: EncoderShape;
  /** `whole`, or what it was divided by. */
  readonly label: string;
}

function fit(model: EncoderShape, divisor: number, seq: number): Fitted {
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

function divisorFor(model: EncoderShape, batch: BatchShape, productRate: number, { device }: Engine): number {
  const fits = (divisor: number): boolean => {
    const { shape } = fit(model, divisor, batch.seq);
    const parameters = shape.layers * shape.hidden * (4 * shape.hidden + 2 * shape.neurons);
    const largest = 4 * shape.hidden * Math.max(shape.vocab, shape.neurons);
    const seconds = (4 * parameters * batch.batch * batch.seq) / productRate;
    return seconds <= LONGEST_STEP && largest <= device.limits.maxStorageBufferBindingSize;
  };
  return DIVISORS.find(fits) ?? DIVISORS.at(-1)!;
}

interface Entry {
  readonly resident: Resident;
  /** Undefined: not Light-PEFT. */
  readonly ratio?: number;
  readonly flops: Readonly<Record<'train' | 'infer', number>>;
  /** Bytes that must be held in training. */
  readonly bound: number;
  readonly inferBound: number;
}

interface Raced {
  readonly model: string;
  readonly fitted: Fitted;
  readonly folder: string;
  readonly tokens: number;
  readonly entries: readonly Entry[];
  readonly train: ReadonlyMap<string, Sample>;
  readonly infer: ReadonlyMap<string, Sample>;
}

const LORA = 'LoRA';

async function raceModel(context: BenchContext, model: string, fitted: Fitted, batch: BatchShape): Promise<Raced> {
  const { engine, timing, quick } = context;
  const folder = await writeRandomModel(context.folder, model, fitted.shape);
  const settings = benchSettings(context.settings);
  const open = (): Promise<Assembly> => openPeft(engine, folder, settings);
  const lora = await makeResident(engine, LORA, batch, settings, assembled(engine, open));
  const entries: Entry[] = [entryOf(lora, batch, 'lora')];
  for (const ratio of quick ? [0, 0.5] : RATIOS) {
    const name = `Light-PEFT ${percentOf(ratio)}`;
    let expected: Float32Array = new Float32Array();
    const cut = async (): Promise<Assembly> => {
      const whole = await open();
      const plan = randomPlan(whole, settings, ratio);
      expected = await softLogits(engine, whole, plan, batch);
      return prune(engine, whole, plan, settings);
    };
    const resident = await makeResident(engine, name, batch, settings, assembled(engine, cut));
    assertClose(`${model}, ${name}: logits`, await resident.logits(), expected, 1e-3);
    entries.push({ ...entryOf(resident, batch, 'lora'), ratio });
  }
  const full = await makeResident(engine, 'full fine-tuning', batch, settings, () =>
    openFull(engine, folder, settings),
  );
  entries.push(entryOf(full, batch, 'full'));
  const train = await alternate(
    entries.map((e) => e.resident.training),
    timing,
  );
  const infer = await alternate(
    entries.map((e) => e.resident.inference),
    timing,
  );
  for (const { resident } of entries) resident.free();
  engine.arena.release();
  return { model, fitted, folder, tokens: batch.batch * batch.seq, entries, train, infer };
}

const percentOf = (ratio: number): string => `${Math.round(ratio * 100)}%`;

/** What Light-PEFT keeps when scores are drawn at random: the method's own ratios for modules and ranks. */
function randomPlan({ base, method }: Assembly, settings: Settings, ratio: number): Plan {
  const modules = method!.modules;
  const zeros = (length: number): number[] => Array<number>(length).fill(0);
  const scores = {
    heads: base.layers.map((l) => zeros(l.heads)),
    neurons: base.layers.map((l) => zeros(l.neurons)),
    modules: Object.fromEntries(modules.map((m) => [m.name, 0])),
    ranks: Object.fromEntries(modules.map((m) => [m.name, zeros(m.ranks)])),
  };
  return makePlan(base.config, 'benchmark', scores, { ...settings, headsRatio: ratio, ffnRatio: ratio }, 'random');
}

function entryOf(resident: Resident, batch: BatchShape, pass: Pass): Entry {
  const { base, method, parameters } = resident.classifier;
  const trainables = parameters.count;
  const weights = resident.trainBytes.weights ?? 0;
  const modules = method?.modules ?? [];
  const saved = savedValues(base.config, base.layers, modules, batch);
  return {
    resident,
    flops: {
      train: blockFlops(base.config, base.layers, batch, pass),
      infer: blockFlops(base.config, base.layers, batch, 'forward'),
    },
    bound: memoryBound({ weights, trainables, saved }),
    // While inferring a layer holds at least its input and the activated intermediate values.
    inferBound: weights + 4 * trainables + 4 * batch.batch * batch.seq * widest(base),
  };
}

function widest({ config, layers }: Resident['classifier']['base']): number {
  return config.hiddenSize + Math.max(...layers.map((l) => l.neurons));
}

function report(raced: Raced, quick: boolean): Measured {
  const title = `${raced.model}, ${raced.fitted.label}`;
  return {
    tables: [
      speedTable(`${title}: training`, raced, 'train'),
      speedTable(`${title}: inference`, raced, 'infer'),
      memoryTable(`${title}: peak of training`, raced, 'train'),
      memoryTable(`${title}: peak of inference`, raced, 'infer'),
    ],
    figures: [speedFigure(title, raced), memoryFigure(title, raced)],
    targets: quick ? [] : targets(raced),
    notes: [],
  };
}

type Phase = 'train' | 'infer';

/** Speed and block FLOPs, both relative to LoRA. */
function speedUp(raced: Raced, entry: Entry, phase: Phase): { measured: number; expected: number } {
  const lora = raced.entries[0]!;
  const seconds = (e: Entry): number => raced[phase].get(e.resident.name)!.median;
  return { measured: seconds(lora) / seconds(entry), expected: lora.flops[phase] / entry.flops[phase] };
}

/** Peak and lower bound, both relative to LoRA. */
function memoryShare(raced: Raced, entry: Entry, phase: Phase): { measured: number; expected: number } {
  const lora = raced.entries[0]!;
  const peak = ({ resident }: Entry): number => total(phase === 'train' ? resident.trainBytes : resident.inferBytes);
  const bound = (e: Entry): number => (phase === 'train' ? e.bound : e.inferBound);
  return { measured: peak(entry) / peak(lora), expected: bound(entry) / bound(lora) };
}

function speedTable(title: string, raced: Raced, phase: Phase): Table {
  return {
    title,
    caption: 'Methods took turns, all resident at once. × block FLOPs: the speed-up that the smaller blocks allow.',
    columns: [
      { key: 'name', title: 'method', unit: 'text' },
      { key: 'blocks', title: 'blocks left', unit: 'share' },
      { key: 'time', title: phase === 'train' ? 'step' : 'batch', unit: 'time' },
      { key: 'tokens', title: 'tokens/s', unit: 'number' },
      { key: 'speed', title: 'speed-up', unit: 'ratio' },
      { key: 'flops', title: '× block FLOPs', unit: 'ratio' },
      { key: 'reached', title: 'of that reached', unit: 'share' },
    ],
    rows: raced.entries.map((entry) => {
      const sample = raced[phase].get(entry.resident.name)!;
      const { measured, expected } = speedUp(raced, entry, phase);
      return {
        name: entry.resident.name,
        blocks: entry.flops.infer / raced.entries[0]!.flops.infer,
        time: sample,
        tokens: rate(raced.tokens, sample).median,
        speed: measured,
        flops: expected,
        reached: measured / expected,
      };
    }),
  };
}

function memoryTable(title: string, raced: Raced, phase: Phase): Table {
  const bytesOf = ({ resident }: Entry) => (phase === 'train' ? resident.trainBytes : resident.inferBytes);
  const kinds = [...new Set(raced.entries.flatMap((e) => Object.keys(bytesOf(e))))];
  return {
    title,
    caption: 'Bytes of GPU buffers. Own share: the lower bound of the method relative to that of LoRA.',
    columns: [
      { key: 'name', title: 'method', unit: 'text' },
      { key: 'peak', title: 'peak', unit: 'bytes' },
      ...kinds.map((kind) => ({ key: `kind ${kind}`, title: kind, unit: 'bytes' as const })),
      { key: 'share', title: 'of LoRA', unit: 'share' },
      { key: 'own', title: 'own share', unit: 'share' },
    ],
    rows: raced.entries.map((entry) => {
      const bytes = bytesOf(entry);
      const { measured, expected } = memoryShare(raced, entry, phase);
      const each = Object.fromEntries(kinds.map((kind) => [`kind ${kind}`, bytes[kind] ?? 0]));
      // The bound does not know what full fine-tuning keeps.
      const own = entry.resident.classifier.method ? expected : null;
      return { name: entry.resident.name, peak: total(bytes), ...each, share: measured, own };
    }),
  };
}

const lightEntries = ({ entries }: Raced): readonly (Entry & { ratio: number })[] =>
  entries.filter((e): e is Entry & { ratio: number } => e.ratio !== undefined);

function speedFigure(title: string, raced: Raced): Figure {
  const line = (phase: Phase, kind: 'measured' | 'expected') =>
    lightEntries(raced).map((e): [number, number] => [Math.round(e.ratio * 100) / 100, speedUp(raced, e, phase)[kind]]);
  return {
    kind: 'lines',
    title: `${title}: speed-up over LoRA by ratio`,
    x: 'part of heads and neurons pruned',
    unit: 'ratio',
    log: false,
    series: [
      { label: 'training', points: line('train', 'measured'), dashed: false },
      { label: 'training, by block FLOPs', points: line('train', 'expected'), dashed: true },
      { label: 'inference', points: line('infer', 'measured'), dashed: false },
      { label: 'inference, by block FLOPs', points: line('infer', 'expected'), dashed: true },
    ],
  };
}

function memoryFigure(title: string, raced: Raced): Figure {
  const bars = raced.entries.map(({ resident, ratio }) => ({
    label: resident.name,
    parts: { ...resident.trainBytes },
    own: ratio !== undefined,
  }));
  return { kind: 'bars', title: `${title}: peak of training by kind`, unit: 'bytes', bars };
}

function targets(raced: Raced): Target[] {
  return lightEntries(raced).flatMap((entry): Target[] => {
    const what = (text: string): string => `${raced.model}, ${entry.resident.name}: ${text}`;
    const speed = (phase: Phase): number => {
      const { measured, expected } = speedUp(raced, entry, phase);
      return measured / expected;
    };
    const memory = memoryShare(raced, entry, 'train');
    return [
      {
        what: what('training speed-up over block FLOPs'),
        unit: 'ratio',
        relation: '≥',
        goal: 0.95,
        measured: speed('train'),
      },
      {
        what: what('inference speed-up over block FLOPs'),
        unit: 'ratio',
        relation: '≥',
        goal: 0.95,
        measured: speed('infer'),
      },
      {
        what: what('training peak, relative to LoRA'),
        unit: 'share',
        relation: '≤',
        goal: memory.expected,
        measured: memory.measured,
      },
    ];
  });
}

function claimsTable(raced: readonly Raced[]): Table {
  return {
    title: 'Beside the paper’s claims',
    caption:
      'The paper (Gu et al. 2024) reports, against LoRA on its GPUs: training 1.6× and memory −39 %, inference 1.6× and memory −48 %.',
    columns: [
      { key: 'name', title: 'model and ratio', unit: 'text' },
      { key: 'train', title: 'training', unit: 'ratio' },
      { key: 'trainClaim', title: 'claim', unit: 'ratio' },
      { key: 'trainPeak', title: 'peak', unit: 'share' },
      { key: 'trainPeakClaim', title: 'claim', unit: 'share' },
      { key: 'infer', title: 'inference', unit: 'ratio' },
      { key: 'inferClaim', title: 'claim', unit: 'ratio' },
      { key: 'inferPeak', title: 'peak', unit: 'share' },
      { key: 'inferPeakClaim', title: 'claim', unit: 'share' },
    ],
    rows: raced.flatMap((one) =>
      lightEntries(one)
        .filter(({ ratio }) => ratio > 0)
        .map((entry) => ({
          name: `${one.model}, ${percentOf(entry.ratio)}`,
          train: speedUp(one, entry, 'train').measured,
          trainClaim: CLAIMS.speed,
          trainPeak: memoryShare(one, entry, 'train').measured,
          trainPeakClaim: CLAIMS.train,
          infer: speedUp(one, entry, 'infer').measured,
          inferClaim: CLAIMS.speed,
          inferPeak: memoryShare(one, entry, 'infer').measured,
          inferPeakClaim: CLAIMS.infer,
        })),
    ),
  };
}

/** LoRA under each setting that trades memory for something, beside LoRA without it. */
async function raceVariants(context: BenchContext, first: Raced, batch: BatchShape): Promise<Table> {
  const { engine, timing } = context;
  const known = VARIANTS.flatMap((variant) => {
    const parsed = settingsSchema.partial().safeParse(variant);
    const halves = Object.values(variant).includes('f16');
    return parsed.success && (!halves || engine.traits.f16) ? [{ variant, settings: benchSettings(parsed.data) }] : [];
  });
  const all = [{ variant: {}, settings: benchSettings() }, ...known];
  const residents: Resident[] = [];
  for (const { variant, settings } of all) {
    const name = Object.entries(variant).map(([key, value]) => `${key} ${String(value)}`)[0] ?? LORA;
    const open = assembled(engine, () => openPeft(engine, first.folder, settings));
    residents.push(await makeResident(engine, name, batch, settings, open));
  }
  const samples = await alternate(
    residents.map((r) => r.training),
    timing,
  );
  const [lora] = residents;
  const rows = residents.map((r) => ({
    name: r.name,
    time: samples.get(r.name)!,
    speed: samples.get(lora!.name)!.median / samples.get(r.name)!.median,
    weights: r.trainBytes.weights ?? 0,
    activations: r.trainBytes.activations ?? 0,
    peak: total(r.trainBytes),
    share: total(r.trainBytes) / total(lora!.trainBytes),
  }));
  for (const resident of residents) resident.free();
  engine.arena.release();
  return {
    title: `Settings, on ${first.model}, ${first.fitted.label}`,
    caption: 'A LoRA step with one setting changed.',
    columns: [
      { key: 'name', title: 'setting', unit: 'text' },
      { key: 'time', title: 'step', unit: 'time' },
      { key: 'speed', title: 'speed', unit: 'ratio' },
      { key: 'weights', title: 'weights', unit: 'bytes' },
      { key: 'activations', title: 'activations', unit: 'bytes' },
      { key: 'peak', title: 'peak', unit: 'bytes' },
      { key: 'share', title: 'of LoRA', unit: 'share' },
    ],
    rows,
  };
}
