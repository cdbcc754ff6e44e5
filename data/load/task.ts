/** Room: data/load. A benchmark's task, for the head that it has or as text. */
import { option, UserError } from '../../engine/errors.ts';
import type { HeadKind, ModelConfig } from '../../models/architecture.ts';
import { endTokens } from '../../models/config.ts';
import { agreedNames } from '../labels.ts';
import { needTokenizer } from '../lm/encode.ts';
import { mapped, type Source } from '../record-source.ts';
import type { RequestedTask } from '../request.ts';
import { taskFigures } from '../tasks/figures.ts';
import { labelledSource, type PlacedRow } from '../tasks/split-source.ts';
import type { Task, TaskRow } from '../tasks/task.ts';
import { loadTextData, type TextData } from '../text/load.ts';
import { textTaskNamed } from '../text/text-tasks.ts';
import { loadLabelled, ownNames } from './classes.ts';
import { dataSet, type DataSet } from './data-set.ts';
import { encodeOptionsOf, type Encoding } from './encoding.ts';
import { loadChoices, loadQuestions } from './heads.ts';

/** The examples of a task, for the head that it has. */
export async function loadTaskData(
  { task, ...rows }: RequestedTask,
  head: HeadKind,
  encoding: Encoding,
  known: readonly string[] | undefined,
): Promise<DataSet> {
  checkHead(task, head);
  const keys: TaskRow[] = [];
  const onRow = task.key && ((row: TaskRow) => void keys.push(task.key!(row)));
  const counts = { train: 0, eval: 0 };
  const counted = (side: keyof typeof counts): Source<PlacedRow> =>
    mapped(rows[side]!, (row) => {
      counts[side]++;
      return [row];
    });
  const data = {
    name: task.name,
    ...(rows.train && { train: labelledSource(task, counted('train')) }),
    ...(rows.eval && { eval: labelledSource(task, counted('eval'), onRow) }),
  };
  if (head === 'question-answering') return loadQuestions(data, encoding);
  if (head === 'multiple-choice') return withFigures(await loadChoices(data, encoding), task, keys, counts);
  const labels = namesOfTask(task, known, encoding.config);
  return withFigures(await loadLabelled(data, encoding, { labels }), task, keys, counts);
}

/** @throws UserError where the model's head is not the one that learns the task */
export function checkHead({ name, head }: Task, found: HeadKind): void {
  if (found === head) return;
  throw new UserError(`${option('task')} ${name}: is for a head for ${head}, the model has one for ${found}`);
}

/** A task's class names, as the model has them where it means the same classes. @throws UserError where it has others */
export function namesOfTask(task: Task, known: readonly string[] | undefined, config: ModelConfig): readonly string[] {
  const labels = agreedNames(task.labels, known ?? ownNames(config)) ?? task.labels;
  if (!known || labels.length === known.length) return labels;
  const found = `the model tells apart ${known.join(', ')}`;
  throw new UserError(`${option('task')} ${task.name}: ${found}, expected ${task.labels.join(', ')}`);
}

/** @param read keys and numbers of the rows so far; reading again for `texts` adds to them */
function withFigures(data: DataSet, task: Task, read: readonly TaskRow[], counts: DataSet['rows']): DataSet {
  const keys = [...read];
  return { ...data, rows: { ...counts }, figures: (scores) => taskFigures(task, keys, { ...data, scores }) };
}

/** A task as text, for a language model. */
export async function loadText(
  { task, ...rows }: RequestedTask,
  encoding: Encoding,
  choice: Pick<TextData, 'numFewshot' | 'evalOnly'>,
): Promise<DataSet> {
  const { tokenizer, ...options } = await encodeOptionsOf(encoding);
  const endId = (await tokenizer?.eosId) ?? endTokens(encoding.config)[0];
  const { onBytes } = encoding;
  const loading = { ...options, tokenizer: needTokenizer(tokenizer, task.name), endId, onBytes };
  const {
    text,
    rows: counts,
    ...examples
  } = await loadTextData(textTaskNamed(task.name), { ...rows, ...choice }, loading);
  return dataSet(task.name, 'causal-lm', [], examples, { rows: counts, text });
}
