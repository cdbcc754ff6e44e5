/** Room: data/text. SQuAD 1.1 and 2.0 as text, in the words of lm-evaluation-harness 0.4.13. Declarations only. */
import type { TaskRow } from '../tasks/task.ts';
import { filled, type AnswerTask } from './text-task.ts';

const NO_ANSWER = 'unanswerable';

const expected = ({ answers }: TaskRow): readonly string[] =>
  Array.isArray(answers)
    ? answers.map(({ text }: { readonly text: string }) => text)
    : ((answers as { readonly text?: readonly string[] } | undefined)?.text ?? []);

const SQUAD: AnswerTask = {
  kind: 'answer',
  context: filled('Title: {title}\n\nBackground: {context}\n\nQuestion: {question}\n\nAnswer:'),
  answer: (row) => expected(row)[0] ?? NO_ANSWER,
  expected,
};

export const SQUAD_TEXT: Readonly<Record<string, AnswerTask>> = { squad: SQUAD, squad_v2: SQUAD };
