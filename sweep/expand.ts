/** Room: sweep. From axes to configurations. */
import { hostRandom, STREAM } from '../engine/random.ts';
import type { TrialConfig } from '../report/sweep/schema.ts';
import { listOf, type Distribution, type SweepSpec } from './spec.ts';

type Value = TrialConfig[string];

/** What `run` compares where nothing is said. */
const DEFAULT_METHODS = ['reference', 'light-peft', 'random'];

/**
 * Configurations of all trials, in an order that is always the same: every configuration of `list` with every row of `zip`, every draw of
 * `random` and every point of `grid`, the last axis fastest, `methods` and seeds last of all. Draws are the same for every other axis.
 */
export function expand(spec: SweepSpec): TrialConfig[] {
  const axes: TrialConfig[][] = [
    spec.list ?? [{}],
    zipped(spec.zip),
    draws(spec.random),
    ...Object.entries(spec.grid)
      .filter(([key]) => key !== 'methods' && key !== 'seed' && key !== 'seeds')
      .map(([key, values]) => values.map((value) => ({ [key]: value }))),
  ];
  const plain = axes.reduce<TrialConfig[]>(
    (all, axis) => all.flatMap((config) => axis.map((more) => ({ ...config, ...more }))),
    [spec.base],
  );
  const configs = plain.flatMap((config) => repeats(config, spec));
  return configs
    .map((config) => conditioned(config, spec))
    .filter((config) => !spec.exclude.some((w) => fits(config, w)));
}

/** A configuration with every method, of `run`, and every seed. */
function repeats({ methods, seeds, ...config }: TrialConfig, spec: SweepSpec): TrialConfig[] {
  const { grid } = spec;
  const isRun = spec.command === 'run';
  const named = (grid.methods ?? listOf(methods)) as readonly Value[];
  const ofMethods = isRun
    ? (named.length > 0 ? named : DEFAULT_METHODS).map((name) => ({ ...config, methods: name }))
    : [{ ...config, ...(methods !== undefined && { methods }) }];
  // An audit goes through its seeds itself.
  const own = spec.command === 'audit' || seeds === undefined ? undefined : listOf(seeds).map(Number);
  const ofSeeds = spec.seeds ?? grid.seeds ?? grid.seed ?? own;
  if (ofSeeds === undefined) return ofMethods.map((c) => ({ ...c, ...(seeds !== undefined && { seeds }) }));
  const key = spec.command === 'audit' ? 'seeds' : 'seed';
  return ofMethods.flatMap((c) => ofSeeds.map((seed) => ({ ...c, [key]: seed })));
}

function zipped(zip: SweepSpec['zip']): TrialConfig[] {
  const entries = Object.entries(zip);
  const [first] = entries;
  if (!first) return [{}];
  return first[1].map((_, i) => Object.fromEntries(entries.map(([key, values]) => [key, values[i]!])));
}

function draws(random: SweepSpec['random']): TrialConfig[] {
  if (!random) return [{}];
  return Array.from({ length: random.samples }, (_, row) => {
    const source = hostRandom(random.seed, STREAM.sweep, row);
    return Object.fromEntries(Object.entries(random.options).map(([key, of]) => [key, drawn(of, source.uniform())]));
  });
}

/** @param u from [0, 1) */
function drawn(distribution: Distribution, u: number): Value {
  if ('choice' in distribution) return distribution.choice[Math.floor(u * distribution.choice.length)]!;
  if ('integers' in distribution) {
    const [low, high] = distribution.integers;
    return low + Math.floor(u * (high - low + 1));
  }
  if ('uniform' in distribution) {
    const [low, high] = distribution.uniform;
    return low + u * (high - low);
  }
  const [low, high] = distribution['log-uniform'];
  return Math.exp(Math.log(low) + u * (Math.log(high) - Math.log(low)));
}

/** Without the options whose conditions are not met. */
function conditioned(config: TrialConfig, { conditions }: SweepSpec): TrialConfig {
  const kept = Object.entries(config).filter(([key]) => !conditions[key] || fits(config, conditions[key]));
  return Object.fromEntries(kept);
}

/** Whether a configuration has such values; a list stands for any of its items. */
function fits(config: TrialConfig, when: TrialConfig): boolean {
  return Object.entries(when).every(([key, wanted]) => {
    const found = JSON.stringify(config[key]);
    return (Array.isArray(wanted) ? wanted : [wanted]).some((value) => JSON.stringify(value) === found);
  });
}
