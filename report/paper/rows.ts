/** Room: report/paper. Tasks and rows of the paper's table, and which parts a row has of a task. Pure. */
import { percent } from '../numbers.ts';
import type { PaperPart } from './schema.ts';
import type { Score } from './statistics.ts';

export interface PaperTask {
  readonly name: string;
  readonly metric: string;
  readonly score: Score;
  /** Of the development set. */
  readonly labels: readonly number[];
  /** Score of the most frequent label, where there are such. */
  readonly majority?: number;
  readonly parts: readonly PaperPart[];
}

/** A row of the table: a method at a ratio. */
export interface PaperRow {
  readonly peft: string;
  readonly method: string;
  readonly label: string;
  /** 0 without pruning. */
  readonly ratio: number;
  /** The method that prunes as much at random, where there is one. */
  readonly chance?: string | undefined;
}

export function partsOf({ parts }: PaperTask, { peft, method, ratio }: PaperRow): PaperPart[] {
  return parts.filter((part) => part.peft === peft && part.method === method && part.ratio === ratio);
}

export function nameOf({ peft, label, ratio }: PaperRow): string {
  return `${peft}, ${label}${ratio > 0 ? ` ${ratioText(ratio)}` : ''}`;
}

function ratioText(ratio: number): string {
  const known = [[1 / 3, '1/3'], [1 / 2, '1/2'], [2 / 3, '2/3']] as const; // prettier-ignore
  return known.find(([value]) => Math.abs(value - ratio) < 0.01)?.[1] ?? percent(ratio);
}
