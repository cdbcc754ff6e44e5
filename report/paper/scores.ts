/** Room: report/paper. What scores of heads and neurons were found to be worth: tried by masks, from several estimations, against single heads. Pure. */
import { max, mean, min, sampleRankCorrelation } from 'simple-statistics';
import { markdownRows } from '../markdown-parts.ts';
import { grouped } from '../sweep/summary.ts';
import type { ScoreComparison, TriedHead, TriedScore } from './schema.ts';

/** Scores from an estimation, which tables call by its label. */
export interface LabelledScores {
  readonly label: string;
  readonly comparison: ScoreComparison;
}

/** In Markdown; none: nothing. @param found the estimation as in the table first */
export function scoreSections(task: string, found: readonly LabelledScores[]): string[] {
  if (found.length === 0) return [];
  const [usual] = found as [LabelledScores];
  const { examples, steps, rows, heads } = usual.comparison;
  const scores = [
    `## Scores of heads and neurons: ${task}`,
    `Accuracy in percent and loss on ${examples} rows of the training data that were held out, after an estimation of ${steps} steps (${seedsOf(rows)}); ` +
      `heads and neurons by masks of 0, all modules and ranks kept, nothing trained afterwards. Neurons are ranked over the model. Of several seeds or draws: the mean, and from least to most.`,
    scoresTable(rows),
  ];
  const estimations = found.length > 1 && [`Other estimations, heads ranked within layers:`, estimationsTable(found)];
  const single = heads.length > 0 && [
    `Each head left out alone: Spearman’s correlation of a score with the loss, and how far the score’s values lie apart.`,
    headsTable(heads),
  ];
  const commands = found.map(({ comparison }) => `\`${comparison.command}\``);
  const origin = `${commands.length === 1 ? 'Command' : 'Commands'}: ${commands.join(', ')}`;
  return [...scores, ...(estimations || []), ...(single || []), origin].map((text) => `${text}\n`);
}

function seedsOf(rows: readonly { readonly seed: number }[]): string {
  const seeds = [...new Set(rows.map(({ seed }) => seed))];
  return `${seeds.length === 1 ? 'seed' : 'seeds'} ${seeds.join(', ')}`;
}

/** A row for each score and scope, a pair of columns for each ratio: accuracy in percent, and loss. */
function scoresTable(rows: readonly TriedScore[]): string {
  const ratios = ratiosOf(rows);
  const head = ['score', 'heads ranked', ...ratios.flatMap((ratio) => [`${percentage(ratio)} pruned`, 'loss'])];
  const whole = rows.filter(({ ratio }) => ratio === 0);
  const groups = grouped(
    rows.filter(({ ratio }) => ratio > 0),
    ({ importance, headsScope }) => `${importance} ${headsScope}`,
  );
  const lines = [...groups.values()].map((group) => {
    const { importance, headsScope } = group[0]!;
    const cells = ratios.flatMap((ratio) => figures(group.filter((row) => row.ratio === ratio)));
    return [importance, headsScope === 'global' ? 'over the model' : 'within layers', ...cells];
  });
  return markdownRows(head, [['nothing pruned', '', ...ratios.flatMap(() => figures(whole))], ...lines]);
}

/** A row for each estimation and score. */
function estimationsTable(found: readonly LabelledScores[]): string {
  const ratios = ratiosOf(found[0]!.comparison.rows);
  const names = new Set(
    found
      .at(-1)!
      .comparison.rows.filter(({ ratio }) => ratio > 0)
      .map((row) => row.importance),
  );
  const lines = found.flatMap(({ label, comparison: { rows } }) =>
    [...names].map((name) => {
      const own = rows.filter(({ importance, headsScope }) => importance === name && headsScope === 'layerwise');
      return [
        label,
        name,
        ...figures(rows.filter(({ ratio }) => ratio === 0)),
        ...ratios.flatMap((ratio) => figures(own.filter((row) => row.ratio === ratio))),
      ];
    }),
  );
  const columns = ratios.flatMap((ratio) => [`${percentage(ratio)} pruned`, 'loss']);
  return markdownRows(['estimation', 'score', 'nothing pruned', 'loss', ...columns], lines);
}

/** A row for each score: means over seeds. */
function headsTable(heads: readonly TriedHead[]): string {
  const seeds = [...grouped(heads, ({ seed }) => `${seed}`).values()];
  const lines = Object.keys(heads[0]!.scores).map((name) => {
    const correlations = seeds.map(
      (own) =>
      sampleRankCorrelation(own.map((one) => one.scores[name]!), own.map(({ loss }) => loss)), // prettier-ignore
    );
    const values = heads.map(({ scores }) => scores[name]!);
    const [least, most] = [min(values), max(values)];
    return [name, mean(correlations).toFixed(2), short(least), short(most), `${short(most / least)} times`];
  });
  return markdownRows(['score', 'correlation', 'least', 'most', 'apart'], lines);
}

const short = (value: number): string => value.toPrecision(3);

const ratiosOf = (rows: readonly TriedScore[]): number[] =>
  [...new Set(rows.map(({ ratio }) => ratio))].filter((ratio) => ratio > 0);

function figures(rows: readonly TriedScore[]): string[] {
  if (rows.length === 0) return ['–', '–'];
  const accuracies = rows.map(({ accuracy }) => accuracy * 100);
  const [least, most, middle] = [min(accuracies), max(accuracies), mean(accuracies)].map((value) => value.toFixed(1));
  const spread = least === most ? '' : ` (${least} to ${most})`;
  return [`${middle}${spread}`, mean(rows.map(({ loss }) => loss)).toFixed(3)];
}

const percentage = (ratio: number): string => `${Math.round(ratio * 100)} %`;
