/** Room: data/text. GLUE's tasks as text, in the words of lm-evaluation-harness 0.4.13. Declarations only. */
import { stripped } from './python-text.ts';
import { answersOf, filled, textIn, type ChoiceTask } from './text-task.ts';

const ENTAILS = filled('{sentence1}\nQuestion: {sentence2} True or False?\nAnswer:');

const MNLI = answersOf(
  (row) => {
    const hypothesis = stripped(textIn(row, 'hypothesis'));
    const end = hypothesis.endsWith('.') ? '' : '.';
    return `${textIn(row, 'premise')}\nQuestion: ${hypothesis}${end} True, False or Neither?\nAnswer:`;
  },
  ['True', 'Neither', 'False'],
);

export const GLUE_TEXT: Readonly<Record<string, ChoiceTask>> = {
  'glue/cola': answersOf(
    filled('{sentence}\nQuestion: Does this sentence make sense?\nAnswer:'),
    ['no', 'yes'],
    ['matthews'],
  ),
  'glue/mnli': MNLI,
  'glue/mnli_matched': MNLI,
  'glue/mnli_mismatched': MNLI,
  'glue/mrpc': answersOf(
    filled(
      'Sentence 1: {sentence1}\nSentence 2: {sentence2}\nQuestion: Do both sentences mean the same thing?\nAnswer:',
    ),
    ['no', 'yes'],
    ['accuracy', 'f1'],
  ),
  'glue/qnli': answersOf(filled('{question}\n{sentence}\nQuestion: Does this response answer the question?\nAnswer:'), [
    'yes',
    'no',
  ]),
  'glue/qqp': answersOf(
    filled(
      'Question 1: {question1}\nQuestion 2: {question2}\nQuestion: Do both questions ask the same thing?\nAnswer:',
    ),
    ['no', 'yes'],
    ['accuracy', 'f1'],
  ),
  'glue/rte': answersOf(ENTAILS, ['True', 'False']),
  'glue/sst2': answersOf(filled('{sentence}\nQuestion: Is this sentence positive or negative?\nAnswer:'), [
    'negative',
    'positive',
  ]),
  'glue/wnli': answersOf(ENTAILS, ['False', 'True']),
};
