/** Room: sweep. Figures by name from the file that a trial's command leaves. */
import { z } from 'zod';
import { readJson } from '../engine/io/files.ts';
import { readAudit } from '../report/audit/write.ts';
import type { Comparison, Run } from '../report/schema.ts';

export type Metrics = Record<string, number>;

/** Of a `run.json`: scores, and what speed, memory and size came to. */
function runMetrics({ metrics, tasks, speed, memory, foundation, trainable, artefactBytes }: Run): Metrics {
  const { trainPeakBytes, inferPeakBytes } = memory;
  return {
    ...numbersIn(metrics),
    ...numbersIn(tasks ?? {}),
    ...numbersIn(speed),
    trainPeakBytes,
    inferPeakBytes,
    blockShare: foundation.blockLeft / foundation.blockTotal,
    trainableShare: trainable.left / trainable.total,
    artefactBytes,
  };
}

/** Of a `comparison.json` with one method and one seed. */
export function metricsOfComparison({ runs }: Comparison): Metrics {
  return runMetrics(runs[0]!);
}

/** Of a `train.json`: scores, the last loss, and how it went. */
export async function metricsOfTraining(path: string): Promise<Metrics> {
  const schema = z.looseObject({ metrics: z.unknown(), loss: z.array(z.number()) });
  const { metrics, loss, ...others } = await readJson(path, schema);
  const { version: _, ...figures } = numbersIn(others);
  return { ...figures, trainLoss: loss.at(-1) ?? NaN, ...numbersIn(metrics ?? {}) };
}

/** Of a `records.json`: the last loss and what it took. */
export async function metricsOfEstimation(path: string): Promise<Metrics> {
  const schema = z.looseObject({ task_loss: z.array(z.number()), seconds: z.number(), steps: z.number().optional() });
  const { task_loss: loss, seconds, steps = loss.length } = await readJson(path, schema);
  return { loss: loss.at(-1) ?? NaN, seconds, steps };
}

/** Of an `audit.json`: after the user's training, means over forms, strategies and seeds. */
export async function metricsOfAudit(path: string): Promise<Metrics> {
  const { runs } = await readAudit(path);
  const mean = (of: (run: (typeof runs)[number]) => number): number =>
    runs.reduce((sum, run) => sum + of(run), 0) / runs.length;
  return {
    accuracy: mean(({ user }) => user.curve.at(-1)!.accuracy),
    lfr: mean(({ user }) => user.curve.at(-1)!.lfr),
    plantedAccuracy: mean(({ planted }) => planted.user.accuracy),
    plantedLfr: mean(({ planted }) => planted.user.lfr),
  };
}

/** Of what `--json` prints: all numbers, those within others as `outer.inner`, lists by their sums. */
export function metricsOfJson(text: string): Metrics {
  return numbersIn(JSON.parse(text) as object);
}

function numbersIn(value: object): Metrics {
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, found]: [string, unknown]): [string, number][] => {
      if (typeof found === 'number') return [[name, found]];
      const numbers = z.array(z.number()).safeParse(found);
      if (numbers.success) return numbers.data.length === 0 ? [] : [[name, numbers.data.reduce((a, b) => a + b, 0)]];
      if (typeof found !== 'object' || found === null || Array.isArray(found)) return [];
      return Object.entries(numbersIn(found)).map(([inner, number]) => [`${name}.${inner}`, number]);
    }),
  );
}

const evaluationSchema = z.looseObject({ step: z.int() });

/** Of a log's evaluation at a step; undefined where there is none. @param text of a JSONL log */
export function metricsAtStep(text: string, step: number): Metrics | undefined {
  const found = text
    .split('\n')
    .slice(0, -1)
    .flatMap((line) => evaluationSchema.safeParse(JSON.parse(line)).data ?? [])
    .findLast((line) => line.step === step && Object.keys(line).some((key) => key.startsWith('eval_')));
  if (!found) return undefined;
  const figures = Object.entries(found).filter(([key]) => key.startsWith('eval_'));
  return numbersIn(Object.fromEntries(figures.map(([key, value]) => [key.slice('eval_'.length), value])));
}
