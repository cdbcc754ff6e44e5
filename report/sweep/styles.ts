/** Room: report/sweep. Figures of trials by name: what each is called, how it is shown, which way is better. */
import { METRIC_STYLES } from '../metrics.ts';
import { bytes, duration, fixed, measure, percent } from '../numbers.ts';
import { METRICS } from '../schema.ts';
import type { Direction } from './schema.ts';

export interface FigureStyle {
  readonly name: string;
  /** As in a table, without its unit. */
  readonly text: (value: number) => string;
  /** Empty where `text` has it. */
  readonly unit: string;
  readonly direction: Direction;
  /** Whether another adapter would give another figure: never ranked beside that. */
  readonly isOfMachine: boolean;
  /** What it can be. */
  readonly range: readonly [low: number, high: number];
  /** What numbers along an axis are multiplied by, and what is written behind them. */
  readonly axis: (largest: number) => { readonly factor: number; readonly unit: string };
}

const plainAxis = () => ({ factor: 1, unit: '' });
const percentAxis = () => ({ factor: 100, unit: '%' });
const byteAxis = (largest: number) => (largest >= 1e9 ? { factor: 1e-9, unit: ' GB' } : { factor: 1e-6, unit: ' MB' });
const POSITIVE = [0, Infinity] as const;

function rate(name: string, unit: string): FigureStyle {
  return { name, unit, text: measure, direction: 'maximize', isOfMachine: true, range: POSITIVE, axis: plainAxis };
}

function size(name: string, isOfMachine: boolean): FigureStyle {
  return { name, unit: '', text: bytes, direction: 'minimize', isOfMachine, range: POSITIVE, axis: byteAxis };
}

function share(name: string): FigureStyle {
  const range = [0, 1] as const;
  return { name, unit: '', text: percent, direction: 'minimize', isOfMachine: false, range, axis: percentAxis };
}

function time(name: string): FigureStyle {
  return { name, unit: '', text: duration, direction: 'minimize', isOfMachine: true, range: POSITIVE, axis: plainAxis };
}

const COSTS = {
  trainTokensPerSecond: rate('Training speed', 'tokens/s'),
  inferExamplesPerSecond: rate('Inference speed', 'examples/s'),
  trainPeakBytes: size('Peak memory in training', true),
  inferPeakBytes: size('Peak memory in inference', true),
  blockShare: share('Blocks left'),
  trainableShare: share('PEFT left'),
  artefactBytes: size('Artefact on disk', false),
  secondsPerStep: { ...time('Seconds per step'), text: measure },
  estimateSeconds: time('Estimation'),
  pruneSeconds: time('Pruning'),
  trainSeconds: time('Fine-tuning'),
  distillSeconds: time('Teacher’s passes'),
  teacherSeconds: time('Teacher’s training'),
} satisfies Readonly<Record<string, FigureStyle>>;

export type Cost = keyof typeof COSTS;

const LOWER_IS_BETTER = /loss|perplexity|mse|error/i;

function plainStyle(name: string): FigureStyle {
  const isLower = LOWER_IS_BETTER.test(name);
  return {
    name: name === 'loss' ? 'Loss' : name,
    unit: '',
    text: (value) => (Math.abs(value) < 1 ? fixed(value, 4) : value < 0 ? `−${measure(-value)}` : measure(value)),
    direction: isLower ? 'minimize' : 'maximize',
    isOfMachine: false,
    range: [-Infinity, Infinity],
    axis: plainAxis,
  };
}

const STYLES: ReadonlyMap<string, FigureStyle> = new Map<string, FigureStyle>([
  ...Object.entries(COSTS),
  ...METRICS.map((metric): [string, FigureStyle] => {
    const { name, text, unit, range } = METRIC_STYLES[metric];
    const own = { name, text, unit, range: unit === '%' ? ([0, 1] as const) : ([range.low, range.high] as const) };
    return [metric, { ...plainStyle(metric), ...own, ...(unit === '%' && { axis: percentAxis }) }];
  }),
]);

export function styleOf(name: string): FigureStyle {
  return STYLES.get(name) ?? plainStyle(name);
}

/** With its unit: `84.3%`, `7,180 tokens/s`, `12.3 MB`. */
export function fullText({ text, unit }: FigureStyle, value: number): string {
  return text(value) + (unit === '' || unit === '%' ? unit : ` ${unit}`);
}

/** As a column's head: `accuracy, %`. */
export function headText({ name, unit }: FigureStyle): string {
  return unit === '' ? midSentence(name) : `${midSentence(name)}, ${unit}`;
}

/** Lowers the first letter of a plain word. */
export function midSentence(name: string): string {
  return name.replace(/^(?!Matthews|Pearson|Spearman)[A-Z](?=[a-z]+\b)/, (letter) => letter.toLowerCase());
}
