/** Room: report/compare. What scores are shown against: the less of it, the better. */
import { bytes, duration, percent } from '../numbers.ts';
import type { ColumnName } from './columns.ts';

const AXES_BY_KEY = {
  trainPeakBytes: {
    name: 'Peak memory in training',
    short: 'training memory',
    head: ['training', 'peak'],
    text: bytes,
    isTime: false,
  },
  inferPeakBytes: {
    name: 'Peak memory in inference',
    short: 'inference memory',
    head: ['inference', 'peak'],
    text: bytes,
    isTime: false,
  },
  totalSeconds: {
    name: 'Time, estimation included',
    short: 'time',
    head: ['time', 'in all'],
    text: duration,
    isTime: true,
  },
  trainSeconds: {
    name: 'Time of fine-tuning',
    short: 'fine-tuning',
    head: ['time of', 'fine-tuning'],
    text: duration,
    isTime: true,
  },
  artefactBytes: {
    name: 'Artefact on disk',
    short: 'artefact',
    head: ['artefact', 'on disk'],
    text: bytes,
    isTime: false,
  },
  trainablesShare: {
    name: 'Trainables left',
    short: 'trainables',
    head: ['trainables', 'left'],
    text: percent,
    isTime: false,
  },
} as const satisfies Partial<Readonly<Record<ColumnName, object>>>;

type AxisKey = keyof typeof AXES_BY_KEY;

export interface Axis {
  readonly key: AxisKey;
  readonly name: string;
  /** In a list of fronts. */
  readonly short: string;
  /** Of a column, two lines. */
  readonly head: readonly [string, string];
  readonly text: (value: number) => string;
  /** Whether it is a time: figures of different adapters are then on no common front. */
  readonly isTime: boolean;
}

export const AXES: readonly Axis[] = Object.entries(AXES_BY_KEY).map(([key, axis]) => ({
  key: key as AxisKey,
  ...axis,
}));
