/** Room: report/audit. From runs to means over seeds, by form and strategy. Pure. */
import { mean, sampleStandardDeviation } from 'simple-statistics';
import type { Spread } from '../aggregate.ts';
import { score, signed } from '../numbers.ts';
import type { Audit, AuditRun, DefenceResult, Measure } from './schema.ts';

/** All seeds of a form and a strategy. */
export interface Group {
  readonly form: string;
  readonly strategy: string;
  readonly label: string;
  readonly runs: readonly AuditRun[];
}

/** What a form's groups are called together. */
export interface FormGroups {
  readonly form: string;
  readonly label: string;
  readonly groups: readonly Group[];
}

const FORM_LABELS: Readonly<Record<string, string>> = {
  houlsby: 'Sequential (Houlsby)',
  parallel: 'Parallel (He)',
};

const STRATEGY_LABELS: Readonly<Record<string, string>> = {
  clean: 'Nothing planted',
  sum: 'Plain sum',
  pcgrad: 'PCGrad',
  gradnorm: 'GradNorm',
  clnorm: 'CLNorm',
  ilproj: 'ILProj',
  'clnorm+ilproj': 'CLNorm + ILProj',
  ripple: 'RIPPLe',
  lwp: 'LWP',
};

const DEFENCE_LABELS: Readonly<Record<string, string>> = {
  'more-epochs': 'More epochs',
  'foundation-pruning': 'Early pruning, foundation only',
  'peft-pruning': 'Early pruning, PEFT only',
  'early-pruning': 'Early pruning, both',
  'random-pruning': 'Random pruning',
  reinit: 'Early pruning, fresh modules',
  'fine-pruning': 'Fine-pruning',
  'confidence-filter': 'Confidence filter',
};

function strategyLabel(strategy: string): string {
  return STRATEGY_LABELS[strategy] ?? strategy;
}

function defenceLabel(defence: string): string {
  return DEFENCE_LABELS[defence] ?? defence;
}

/** By form, then by strategy, in order of first appearance. */
export function formsOf({ runs }: Audit): FormGroups[] {
  const unique = (values: readonly string[]): string[] => [...new Set(values)];
  return unique(runs.map(({ form }) => form)).map((form) => {
    const own = runs.filter((run) => run.form === form);
    const groups = unique(own.map(({ strategy }) => strategy)).map((strategy) => ({
      form,
      strategy,
      label: strategyLabel(strategy),
      runs: own.filter((run) => run.strategy === strategy),
    }));
    return { form, label: FORM_LABELS[form] ?? form, groups };
  });
}

/** Mean, and the deviation where there are several values. */
export function spreadOf(values: readonly number[]): Spread {
  return {
    mean: mean([...values]),
    deviation: values.length > 1 ? sampleStandardDeviation([...values]) : undefined,
  };
}

/** In percent: `84.3 ± 1.2`. */
export function spreadText({ mean: value, deviation }: Spread): string {
  return deviation === undefined ? score(value) : `${score(value)} ± ${score(deviation)}`;
}

/** The figures after the user's training. */
function afterUser({ user }: AuditRun): Measure {
  return user.curve.at(-1)!;
}

/** A row of the table of strategies: LFR and CACC after planting, and after the user's training. */
export interface StrategyRow {
  readonly label: string;
  readonly planted: { readonly lfr: Spread; readonly accuracy: Spread };
  readonly user: { readonly lfr: Spread; readonly accuracy: Spread };
}

export function strategyRow({ label, runs }: Group): StrategyRow {
  const both = (of: (run: AuditRun) => Measure): StrategyRow['user'] => ({
    lfr: spreadOf(runs.map((run) => of(run).lfr)),
    accuracy: spreadOf(runs.map((run) => of(run).accuracy)),
  });
  return { label, planted: both(({ planted }) => planted.user), user: both(afterUser) };
}

/** A row of the table of defences. */
export interface DefenceRow {
  readonly label: string;
  readonly lfr: Spread;
  readonly accuracy: Spread;
  /** Points of accuracy beside the user's training alone, of the same seeds; absent for that itself. */
  readonly cost?: Spread;
  readonly blocks?: number;
  readonly trainable?: number;
  /** Of a filter: what it takes out of clean and of triggered texts. */
  readonly out?: readonly [clean: number, triggered: number];
}

/** The user's training alone, and every defence that was measured. */
export function defenceRows({ runs }: Group): DefenceRow[] {
  const names = [...new Set(runs.flatMap(({ defences }) => Object.keys(defences)))];
  const alone: DefenceRow = {
    label: 'Nothing',
    lfr: spreadOf(runs.map((run) => afterUser(run).lfr)),
    accuracy: spreadOf(runs.map((run) => afterUser(run).accuracy)),
  };
  const rowOf = (name: string): DefenceRow => {
    const measured = runs.flatMap((run) => (run.defences[name] ? [{ run, found: run.defences[name] }] : []));
    const meanOf = (of: (found: DefenceResult) => number | undefined): number | undefined => {
      const values = measured.flatMap(({ found }) => of(found) ?? []);
      return values.length === 0 ? undefined : mean(values);
    };
    const [blocks, trainable] = [meanOf((found) => found.blockShare), meanOf((found) => found.trainableShare)];
    const [clean, triggered] = [meanOf((found) => found.cleanOut), meanOf((found) => found.triggeredOut)];
    return {
      label: defenceLabel(name),
      lfr: spreadOf(measured.map(({ found }) => found.lfr)),
      accuracy: spreadOf(measured.map(({ found }) => found.accuracy)),
      cost: spreadOf(measured.map(({ run, found }) => found.accuracy - afterUser(run).accuracy)),
      ...(blocks !== undefined && { blocks }),
      ...(trainable !== undefined && { trainable }),
      ...(clean !== undefined && triggered !== undefined && { out: [clean, triggered] }),
    };
  };
  return [alone, ...names.map(rowOf)];
}

/** A difference in points: `−0.4 ± 1.0`. */
export function costText({ mean: value, deviation }: Spread): string {
  const text = signed(value * 100, 1);
  return deviation === undefined ? text : `${text} ± ${score(deviation)}`;
}

/** Mean by place, of lists that are equally long. */
export function meansByPlace(rows: readonly (readonly (number | null)[])[]): number[] {
  const [first = []] = rows;
  return first.map((_, i) => {
    const known = rows.flatMap((row) => row[i] ?? []);
    return known.length === 0 ? 0 : mean(known);
  });
}
