/** Room: report/paper. What was chosen and from what: options tried at every learning rate. Pure. */
import { markdownRows } from '../markdown-parts.ts';
import type { PaperPart } from './schema.ts';

/** Runs of a method at every learning rate that was tried. */
export interface Choice {
  readonly label: string;
  readonly metric: string;
  readonly parts: readonly PaperPart[];
}

/** What a task has of them, in Markdown; none: nothing. @param margin within which the lowest rate is taken */
export function choiceSections(task: string, choices: readonly Choice[], margin: number): string[] {
  if (choices.length === 0) return [];
  return [
    `## Learning rates and candidates: ${task}`,
    `${choices[0]!.metric} in percent on held-out training data, at a ratio of 1/2, one seed that no reported run has. The table above has the lowest rate within ${100 * margin} points of the best.`,
    choicesTable(choices),
  ].map((text) => `${text}\n`);
}

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
