/** Room: scripts/paper. Choices of heads and neurons tried softly, by masks of 0, on rows that were held out. */
import type { DataSet } from '../../data/load/data-set.ts';
import type { Engine } from '../../engine/engine.ts';
import { UserError } from '../../engine/errors.ts';
import type { PeftModel } from '../../peft-model/peft-model.ts';
import { decide, randomScores, type Decision, type DecideOptions } from '../../pruning/decide.ts';
import { MaskedPlan } from '../../pruning/masked-plan.ts';
import { UNIT_SCORES, type ImportanceScore } from '../../pruning/unit-scores.ts';
import type { TriedHead, TriedScore } from '../../report/paper/schema.ts';
import type { Estimate } from '../../train/estimate.ts';
import { evaluate } from '../../train/evaluate.ts';

const RATIOS = [1 / 2, 2 / 3];

/** Random choices of each size. */
const DRAWS = [0, 1, 2];

const SINGLE = ['mask', ...UNIT_SCORES] as const;

const COMBINED: readonly ImportanceScore[] = ['taylor+fisher', 'taylor+activation', 'mask+taylor'];

/** All modules and ranks stay. */
const KEEP = { modules: 0, ranks: 0 };

/** An estimation, the model as it left it, and the data whose evaluation rows are tried on. */
export interface Tried {
  readonly engine: Engine;
  readonly model: PeftModel;
  readonly data: Pick<DataSet, 'eval' | 'figures' | 'text'>;
  readonly scores: Estimate;
  readonly seed: number;
}

/** Every score and combination within layers, single scores over the model too, and random choices of the same sizes. */
export async function tryAll(tried: Tried, add: (row: TriedScore) => void): Promise<void> {
  add(await tryOne(tried, 'none', { heads: 0, neurons: 0 }));
  for (const ratio of RATIOS) {
    for (const importance of [...SINGLE, ...COMBINED]) add(await tryOne(tried, importance, at(ratio, 'layerwise')));
    for (const importance of SINGLE) add(await tryOne(tried, importance, at(ratio, 'global')));
    for (const draw of DRAWS)
      add(await tryOne({ ...tried, scores: randomScoresOf(tried, draw) }, 'random', at(ratio, 'layerwise')));
  }
}

/** The published score and the preset's alone. */
export async function tryTwo(tried: Tried, add: (row: TriedScore) => void): Promise<void> {
  add(await tryOne(tried, 'none', { heads: 0, neurons: 0 }));
  for (const ratio of RATIOS)
    for (const importance of ['mask', 'taylor'] as const) add(await tryOne(tried, importance, at(ratio, 'layerwise')));
}

/** The model without each of its heads in turn. */
export async function tryHeads(tried: Tried, add: (head: TriedHead) => void): Promise<void> {
  const { scores, seed } = tried;
  const whole = decide(scores, { heads: 0, neurons: 0, ...KEEP });
  for (const [layer, { heads }] of whole.layers.entries())
    for (const head of heads) {
      const without = (kept: Decision['layers'][number], l: number): Decision['layers'][number] =>
        l === layer ? { ...kept, heads: kept.heads.filter((h) => h !== head) } : kept;
      const { loss } = await judge(tried, { ...whole, layers: whole.layers.map(without) });
      add({ seed, layer, head, loss, scores: scoresOf(scores, layer, head) });
    }
}

function scoresOf({ heads, units }: Estimate, layer: number, head: number): Record<string, number> {
  const others = UNIT_SCORES.flatMap((score) => {
    const value = units?.[score]?.heads[layer]?.[head];
    return value === undefined ? [] : [[score, value] as const];
  });
  return { mask: Math.abs(heads[layer]![head]!), ...Object.fromEntries(others) };
}

const at = (ratio: number, headsScope: 'layerwise' | 'global') =>
  ({ heads: ratio, neurons: ratio, headsScope, neuronsScope: 'global' }) as const;

function randomScoresOf({ scores }: Tried, draw: number): Estimate {
  return { ...scores, ...randomScores(scores, draw) };
}

async function tryOne(tried: Tried, importance: string, options: DecideOptions): Promise<TriedScore> {
  const { headsScope = '', neuronsScope = '', heads: ratio = 0 } = options;
  const score = isScore(importance) ? { importance } : {};
  const found = await judge(tried, decide(tried.scores, { ...KEEP, ...options, ...score }));
  return { seed: tried.seed, importance, headsScope, neuronsScope, ratio, ...found };
}

const isScore = (name: string): name is ImportanceScore => name !== 'none' && name !== 'random';

async function judge(
  { engine, model, data: { eval: examples, figures, text } }: Tried,
  decision: Decision,
): Promise<Pick<TriedScore, 'accuracy' | 'loss'>> {
  using masked = new MaskedPlan(engine, model.base.layers, decision, model.method!.modules);
  const { metrics } = await evaluate(model, examples, { figures, text, forward: masked.options() });
  const { accuracy, loss }: { accuracy?: number | undefined; loss: number } = metrics;
  if (accuracy === undefined)
    throw new UserError(`compare-scores: found figures ${Object.keys(metrics).join(', ')}, expected an accuracy`);
  return { accuracy, loss };
}
