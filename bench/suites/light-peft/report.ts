/** Room: bench/suites. What the comparison of one model shows: speed and memory against LoRA, against what pruning allows, and the roofline. */
import { total } from '../../encoder/resident.ts';
import { rooflineSeconds, type Rates } from '../../measure/roofline.ts';
import { rate } from '../../measure/sample.ts';
import type { Figure, Measured, Table, Target } from '../../report/document.ts';
import { formatNumber } from '../../report/format.ts';
import type { Compared, Entry, Phase, TimedPhase } from './methods.ts';

/** What the paper reports of its method, against LoRA. */
const CLAIMS = { speed: 1.6, train: 1 - 0.39, infer: 1 - 0.48 };

const TITLES = { train: 'training', infer: 'inference', merged: 'merged inference' } as const;

export function report(compared: Compared, rates: Rates | undefined, quick: boolean): Measured {
  const title = titleOf(compared);
  return {
    tables: [
      speedTable(`${title}: training`, compared, 'train', rates),
      speedTable(`${title}: inference`, compared, 'infer', rates),
      speedTable(`${title}: merged inference`, compared, 'merged', rates),
      memoryTable(`${title}: peak of training`, compared, 'train'),
      memoryTable(`${title}: peak of inference`, compared, 'infer'),
    ],
    figures: [speedFigure(title, compared), memoryFigure(title, compared)],
    targets: quick ? [] : targets(compared),
    notes: [],
  };
}

const titleOf = ({ model, label }: Compared): string => `${model}, ${label}`;

interface Against {
  readonly measured: number;
  readonly expected: number;
}

/** Speed and block FLOPs, both relative to LoRA. */
function speedUp({ entries }: Compared, entry: Entry, phase: TimedPhase): Against {
  const lora = entries[0]!;
  return {
    measured: lora.seconds[phase].median / entry.seconds[phase].median,
    expected: lora.flops[phase] / entry.flops[phase],
  };
}

/** Peak and lower bound, both relative to LoRA. */
function memoryShare({ entries }: Compared, entry: Entry, phase: Phase): Against {
  const lora = entries[0]!;
  return {
    measured: total(entry.bytes[phase]) / total(lora.bytes[phase]),
    expected: entry.bound[phase] / lora.bound[phase],
  };
}

function speedTable(title: string, compared: Compared, phase: TimedPhase, rates: Rates | undefined): Table {
  return {
    title,
    caption:
      'Methods were timed interleaved, all resident at once. × block FLOPs: the speed-up that the smaller blocks allow.',
    columns: [
      { key: 'name', title: 'method', unit: 'text' },
      { key: 'blocks', title: 'blocks left', unit: 'share' },
      { key: 'time', title: phase === 'train' ? 'step' : 'batch', unit: 'time' },
      { key: 'tokens', title: 'tokens/s', unit: 'number' },
      { key: 'speed', title: 'speed-up', unit: 'ratio' },
      { key: 'flops', title: '× block FLOPs', unit: 'ratio' },
      { key: 'reached', title: 'of that reached', unit: 'share' },
      { key: 'floor', title: 'roofline', unit: 'time' },
      { key: 'over', title: '× roofline', unit: 'ratio' },
    ],
    rows: compared.entries.map((entry) => {
      const sample = entry.seconds[phase];
      const { measured, expected } = speedUp(compared, entry, phase);
      const roofline = rates ? rooflineSeconds(entry.kernels[phase], rates) : null;
      return {
        name: entry.name,
        blocks: entry.flops.infer / compared.entries[0]!.flops.infer,
        time: sample,
        tokens: rate(compared.tokens, sample).median,
        speed: measured,
        flops: expected,
        reached: measured / expected,
        floor: roofline,
        over: roofline === null ? null : sample.median / roofline,
      };
    }),
  };
}

function memoryTable(title: string, compared: Compared, phase: Phase): Table {
  const kinds = [...new Set(compared.entries.flatMap((e) => Object.keys(e.bytes[phase])))];
  return {
    title,
    caption: 'Bytes of GPU buffers. Own share: the lower bound of the method relative to that of LoRA.',
    columns: [
      { key: 'name', title: 'method', unit: 'text' },
      { key: 'peak', title: 'peak', unit: 'bytes' },
      ...kinds.map((kind) => ({ key: `kind ${kind}`, title: kind, unit: 'bytes' as const })),
      { key: 'bound', title: 'lower bound', unit: 'bytes' },
      { key: 'share', title: 'of LoRA', unit: 'share' },
      { key: 'own', title: 'own share', unit: 'share' },
    ],
    rows: compared.entries.map((entry) => {
      const bytes = entry.bytes[phase];
      const { measured, expected } = memoryShare(compared, entry, phase);
      const each = Object.fromEntries(kinds.map((kind) => [`kind ${kind}`, bytes[kind] ?? 0]));
      // The bound does not know what full fine-tuning keeps.
      const known = entry.peft ? { bound: entry.bound[phase], own: expected } : { bound: null, own: null };
      return { name: entry.name, peak: total(bytes), ...each, share: measured, ...known };
    }),
  };
}

const lightEntries = ({ entries }: Compared): readonly (Entry & { ratio: number })[] =>
  entries.filter((e): e is Entry & { ratio: number } => e.ratio !== null);

function speedFigure(title: string, compared: Compared): Figure {
  const line = (phase: TimedPhase, kind: keyof Against) =>
    lightEntries(compared).map((e): [number, number] => [
      Math.round(e.ratio * 100) / 100,
      speedUp(compared, e, phase)[kind],
    ]);
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
      { label: 'merged inference', points: line('merged', 'measured'), dashed: false },
      { label: 'inference, by block FLOPs', points: line('infer', 'expected'), dashed: true },
    ],
  };
}

function memoryFigure(title: string, { entries }: Compared): Figure {
  const bars = entries.map(({ name, bytes, ratio }) => ({ label: name, parts: bytes.train, own: ratio !== null }));
  return { kind: 'bars', title: `${title}: peak of training by kind`, unit: 'bytes', bars };
}

function targets(compared: Compared): Target[] {
  const phases = ['train', 'infer'] as const;
  const timed = [...phases, 'merged'] as const;
  return lightEntries(compared).flatMap((entry) => {
    const what = (text: string): string => `${compared.model}, ${entry.name}: ${text}`;
    const speed = (phase: TimedPhase): Target => {
      const { measured, expected } = speedUp(compared, entry, phase);
      const title = what(`${TITLES[phase]} speed-up over block FLOPs`);
      return { what: title, unit: 'ratio', relation: '≥', goal: 0.95, measured: measured / expected };
    };
    const memory = (phase: Phase): Target => {
      const { measured, expected } = memoryShare(compared, entry, phase);
      const title = what(`${TITLES[phase]} peak, relative to LoRA`);
      return { what: title, unit: 'share', relation: '≤', goal: expected, measured };
    };
    return [...timed.map(speed), ...phases.map(memory)];
  });
}

export function claimsTable(compared: readonly Compared[]): Table {
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
    rows: compared.flatMap((one) =>
      lightEntries(one)
        .filter(({ ratio }) => ratio > 0)
        .map((entry) => ({
          name: `${one.model}, ${Math.round(entry.ratio * 100)}%`,
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

/** What separates a model's LoRA step and its Light-PEFT steps from their rooflines and from block FLOPs, in words. */
export function separation(compared: Compared, rates: Rates): string[] {
  return (['train', 'infer', 'merged'] as const).map((phase) => {
    const share = (e: Entry): number => rooflineSeconds(e.kernels[phase], rates) / e.seconds[phase].median;
    const reached = lightEntries(compared).map((e) => {
      const { measured, expected } = speedUp(compared, e, phase);
      return measured / expected;
    });
    const percent = (value: number): string => formatNumber(value, 'share');
    return (
      `${titleOf(compared)}, ${TITLES[phase]}: LoRA reaches ${percent(share(compared.entries[0]!))} of its roofline’s speed; ` +
      `Light-PEFT reaches ${percent(Math.min(...reached))} to ${percent(Math.max(...reached))} of what its block FLOPs allow.`
    );
  });
}
