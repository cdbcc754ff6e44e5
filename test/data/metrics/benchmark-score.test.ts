/** Protects: GLUE's and SuperGLUE's average as the leaderboards have it, and that there is none of a part. */
import { describe, expect, it } from 'vitest';
import { benchmarkScore, type TaskScores } from '../../../data/metrics.ts';

/** BERT-large on GLUE's leaderboard: 80.5. */
const GLUE: Readonly<Record<string, TaskScores>> = {
  'glue/cola': { matthews: 60.5, accuracy: 1 },
  'SST-2': { accuracy: 94.9 },
  mrpc: { f1: 89.3, accuracy: 85.4 },
  'STS-B': { pearson: 87.6, spearman: 86.5, mse: 2 },
  qqp: { f1: 72.1, accuracy: 89.3 },
  mnli: { accuracy: 86.7 },
  mnli_mismatched: { accuracy: 85.9 },
  qnli: { accuracy: 92.7 },
  rte: { accuracy: 70.1 },
  wnli: { accuracy: 65.1 },
  ax: { matthews: 39.6 },
};

/** BERT-large in SuperGLUE's paper: 69.0. */
const SUPERGLUE: Readonly<Record<string, TaskScores>> = {
  BoolQ: { accuracy: 77.4 },
  CB: { f1Macro: 75.7, accuracy: 83.6, f1: 1 },
  COPA: { accuracy: 70.6 },
  MultiRC: { f1a: 70.0, exactMatch: 24.1 },
  ReCoRD: { f1: 72.0, exactMatch: 71.3 },
  RTE: { accuracy: 71.7 },
  WiC: { accuracy: 69.6 },
  WSC: { accuracy: 64.4 },
  'AX-b': { matthews: 23.0 },
};

describe('benchmarkScore', () => {
  it('published figures give the published average: MNLI counts once, diagnostics do not', () => {
    const glue = benchmarkScore('glue', GLUE);
    expect(glue.score).toBeCloseTo(80.5, 1);
    expect(glue.tasks.mnli).toBeCloseTo(86.3, 12);
    expect(glue.tasks.stsb).toBeCloseTo(87.05, 12);
    expect(Object.keys(glue.tasks)).toHaveLength(9);
    const superglue = benchmarkScore('superglue', SUPERGLUE);
    expect(superglue.score).toBeCloseTo(69.0, 1);
    expect(superglue.tasks.cb).toBeCloseTo(79.65, 12);
    expect(superglue.missing).toEqual([]);
  });

  it.each(['mnli-mm', 'mnli_mismatch', 'MNLI-mismatched', 'glue/mnli_mismatched'])('knows %s', (name) => {
    const { mnli_mismatched: own, ...others } = GLUE;
    expect(benchmarkScore('glue', { ...others, [name]: own! }).score).toBeCloseTo(80.5, 1);
  });

  it('leaves out what it is told to', () => {
    const { wnli: _, ...others } = GLUE;
    expect(benchmarkScore('glue', others, ['WNLI']).score).toBeCloseTo((80.52222 * 9 - 65.1) / 8, 3);
  });

  it('names what is missing, and gives no average then', () => {
    const found = benchmarkScore('glue', { ...GLUE, mrpc: { accuracy: 85.4 }, mnli_mismatched: {} });
    expect(found.missing).toEqual(['mrpc: f1', 'mnli_mismatched: accuracy']);
    expect(found).not.toHaveProperty('score');
    expect(found.tasks).not.toHaveProperty('mnli');
    expect(found.tasks.rte).toBe(70.1);
    expect(benchmarkScore('superglue', {}).missing).toHaveLength(8);
  });
});
