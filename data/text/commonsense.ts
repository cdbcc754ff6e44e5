/** Room: data/text. The commonsense suite's multiple-choice tasks as text, in the words of lm-evaluation-harness 0.4.13. Declarations only. */
import type { TaskRow } from '../tasks/task.ts';
import { capitalized, stripped } from './python-text.ts';
import { BOOLQ } from './superglue.ts';
import { answersOf, filled, textIn, type ChoiceTask } from './text-task.ts';

const columns =
  (...names: readonly string[]) =>
  (row: TaskRow): readonly string[] =>
    names.map((name) => textIn(row, name));

/** The texts of a column `choices`, `{"text": […], "label": […]}`. */
const listed = (row: TaskRow): readonly string[] => (row.choices as { readonly text: readonly string[] }).text;

const ACCURACIES = ['accuracy', 'accuracyNorm'] as const;

const ARC: ChoiceTask = {
  ...answersOf(filled('Question: {question}\nAnswer:'), listed, ACCURACIES),
  hasTest: true,
};

const HELLASWAG = answersOf(
  (row) => {
    const context = `${textIn(row, 'ctx_a')} ${capitalized(textIn(row, 'ctx_b'))}`;
    return withoutMarks(`${textIn(row, 'activity_label')}: ${context}`);
  },
  (row) => (row.endings as readonly string[]).map(withoutMarks),
  ACCURACIES,
);

/** Without what WikiHow's pages left in brackets. */
function withoutMarks(text: string): string {
  return stripped(text)
    .replaceAll(' [title]', '. ')
    .replace(/\[[^\n]*?\]/g, '')
    .replaceAll('  ', ' ');
}

/** The choices fill the blank; all are judged by the same words after it. */
const WINOGRANDE: ChoiceTask = {
  ...answersOf(() => '', []),
  choices: (row) => {
    const sentence = textIn(row, 'sentence');
    const at = sentence.indexOf('_');
    const answer = stripped(sentence.slice(at + 1));
    return columns('option1', 'option2')(row).map((option) => ({ context: sentence.slice(0, at) + option, answer }));
  },
};

/** Of the training set. */
const SIZES = ['xs', 's', 'm', 'l', 'xl', 'debiased'];

export const COMMONSENSE_TEXT: Readonly<Record<string, ChoiceTask>> = {
  boolq: BOOLQ,
  piqa: answersOf(filled('Question: {goal}\nAnswer:'), columns('sol1', 'sol2'), ACCURACIES),
  social_iqa: answersOf(filled('Q: {context} {question}\nA:'), columns('answerA', 'answerB', 'answerC')),
  hellaswag: HELLASWAG,
  winogrande: WINOGRANDE,
  ...Object.fromEntries(SIZES.map((size) => [`winogrande_${size}`, WINOGRANDE])),
  arc_easy: ARC,
  arc_challenge: ARC,
  openbookqa: { ...answersOf(filled('{question_stem}'), listed, ACCURACIES), hasTest: true },
};
