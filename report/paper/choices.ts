/** Room: report/paper. What was chosen and from what: scores tried by masks, and options tried at every learning rate. Pure. */
import { max, mean, min } from 'simple-statistics';
import { markdownRows } from '../markdown-parts.ts';
import type { PaperPart, ScoreComparison, TriedScore } from './schema.ts';

/** Runs of a method at every learning rate that was tried. */
export interface Choice {
  readonly label: string;
  readonly metric: string;
  readonly parts: readonly PaperPart[];
}

/** What a task has of both, in Markdown; none: nothing. @param margin within which the lowest rate is taken */
export function choiceSections(
  task: string,
  choices: readonly Choice[],
  scores: ScoreComparison | undefined,
  margin: number,
): string[] {
  const tried = scores && [
    `## Scores of heads and neurons: ${task}`,
    `Accuracy in percent and loss on ${scores.examples} rows of the training data that were held out, after an estimation of ${scores.steps} steps (seed ${seeds(scores)}); ` +
      `heads and neurons by masks of 0, all modules and ranks kept, nothing trained afterwards. Neurons are ranked over the model. Random: the range of its draws.`,
    scoresTable(scores),
    `Command: \`${scores.command}\``,
  ];
  const chosen = choices.length > 0 && [
    `## Learning rates and candidates: ${task}`,
    `${choices[0]!.metric} in percent on held-out training data, at a ratio of 1/2, one seed that no reported run has. The table above has the lowest rate within ${100 * margin} points of the best.`,
    choicesTable(choices),
  ];
  return [...(tried ?? []), ...(chosen || [])].map((text) => `${text}\n`);
}

const seeds = ({ rows }: ScoreComparison): string => [...new Set(rows.map(({ seed }) => seed))].join(', ');

/** A row for each score and scope, a pair of columns for each ratio: accuracy in percent, and loss. */
function scoresTable({ rows }: ScoreComparison): string {
  const ratios = [...new Set(rows.map(({ ratio }) => ratio))].filter((ratio) => ratio > 0);
  const head = ['score', 'heads ranked', ...ratios.flatMap((ratio) => [`${percentage(ratio)} pruned`, 'loss'])];
  const whole = rows.filter(({ ratio }) => ratio === 0);
  const groups = new Map<string, TriedScore[]>();
  for (const row of rows.filter(({ ratio }) => ratio > 0)) {
    const key = `${row.importance} ${row.headsScope}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const lines = [...groups.values()].map((group) => {
    const { importance, headsScope } = group[0]!;
    const cells = ratios.flatMap((ratio) => figures(group.filter((row) => row.ratio === ratio)));
    return [importance, headsScope === 'global' ? 'over the model' : 'within layers', ...cells];
  });
  return markdownRows(head, [['nothing pruned', '', ...ratios.flatMap(() => figures(whole))], ...lines]);
}

/** Several draws of the random choice: least to most, and the mean loss. */
function figures(rows: readonly TriedScore[]): string[] {
  if (rows.length === 0) return ['–', '–'];
  const accuracies = rows.map(({ accuracy }) => accuracy * 100);
  const [least, most] = [min(accuracies), max(accuracies)].map((value) => value.toFixed(1)) as [string, string];
  return [least === most ? least : `${least} to ${most}`, mean(rows.map(({ loss }) => loss)).toFixed(3)];
}

const percentage = (ratio: number): string => `${Math.round(ratio * 100)} %`;

/** A row for each method, a column for each learning rate. */
function choicesTable(choices: readonly Choice[]): string {
  const rates = [...new Set(choices.flatMap(({ parts }) => parts.map(({ lr }) => lr)))].sort((a, b) => a - b);
  const cell = ({ parts, metric }: Choice, lr: number): string => {
    const found = parts.find((part) => part.lr === lr)?.metrics[metric];
    return found === undefined ? 'not run' : (found * 100).toFixed(1);
  };
  return markdownRows(
    ['method', 'rows', ...rates.map((lr) => `learning rate ${lr}`)],
    choices.map((choice) => [choice.label, rowsOf(choice), ...rates.map((lr) => cell(choice, lr))]),
  );
}

/** Held-out examples that it was tried on. */
function rowsOf({ parts }: Choice): string {
  const counts = parts.map(({ config: { 'max-eval-examples': limit } }) => (limit ? Number(limit).toString() : 'all'));
  return [...new Set(counts)].join(', ');
}
