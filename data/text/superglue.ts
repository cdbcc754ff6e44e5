/** Room: data/text. SuperGLUE's tasks as text, in the words of lm-evaluation-harness 0.4.13. Declarations only. */
import type { TaskRow } from '../tasks/task.ts';
import { part, lengthOf, sortedTexts, stripped, wordsOf } from './python-text.ts';
import { answersOf, filled, textIn, type ChoiceTask } from './text-task.ts';

const NO_YES = ['no', 'yes'];

/** BoolQ, in SuperGLUE and alone. */
export const BOOLQ = answersOf(filled('{passage}\nQuestion: {question}?\nAnswer:'), NO_YES);

/** The choices begin with a space of their own: there are two after the context. */
const COPA = answersOf(
  (row) => {
    const connector = row.question === 'cause' ? 'because' : 'therefore';
    return `${part(stripped(textIn(row, 'premise')), 0, -1)} ${connector}`;
  },
  (row) => ['choice1', 'choice2'].map((column) => ` ${decapitalized(textIn(row, column))}`),
);

function decapitalized(text: string): string {
  return part(text, 0, 1).toLowerCase() + part(text, 1);
}

const WIC = answersOf((row) => {
  const word = part(textIn(row, 'sentence1'), Number(row.start1), Number(row.end1));
  return (
    `Sentence 1: ${textIn(row, 'sentence1')}\nSentence 2: ${textIn(row, 'sentence2')}\n` +
    `Question: Is the word '${word}' used in the same way in the two sentences above?\nAnswer:`
  );
}, NO_YES);

const WSC = answersOf((row) => {
  const [text, noun, pronoun] = ['text', 'span1_text', 'span2_text'].map((column) => textIn(row, column)) as [
    string,
    string,
    string,
  ];
  const before = wordsOf(text).slice(0, Number(row.span2_index)).join(' ');
  const after = part(text, lengthOf(before) + lengthOf(pronoun) + 1);
  return (
    `Passage: ${detokenized(`${before} *${pronoun}*${after}`)}\n` +
    `Question: In the passage above, does the pronoun "*${pronoun}*" refer to "*${noun}*"?\nAnswer:`
  );
}, NO_YES);

/** Without the spaces that a tokenizer put around marks. */
function detokenized(text: string): string {
  return text
    .replaceAll(" n't", "n't")
    .replaceAll(' )', ')')
    .replaceAll('( ', '(')
    .replaceAll('" ', '"')
    .replaceAll(' "', '"')
    .replace(/ (['.,])/g, '$1');
}

const entities = (row: TaskRow): string[] => sortedTexts(row.entities as readonly string[]);
const answers = (row: TaskRow): string[] => sortedTexts((row.answers ?? []) as readonly string[]);

const RECORD: ChoiceTask = {
  ...answersOf(
    (row) => {
      const [text, ...highlights] = stripped(textIn(row, 'passage')).split('\n@highlight\n');
      return `${text}\n\n${highlights.map((highlight) => `  - ${highlight}.\n`).join('')}`;
    },
    (row) => entities(row).map((entity) => `  - ${textIn(row, 'query')}`.replaceAll('@placeholder', () => entity)),
    ['f1', 'exactMatch'],
  ),
  gold: (row) => {
    const [first] = answers(row);
    return first === undefined ? undefined : entities(row).indexOf(first);
  },
  texts: (row) => ({ choices: entities(row), expected: answers(row) }),
};

/** By the harness class 1, a right answer, is the choice "no". */
const MULTIRC = answersOf(filled('{paragraph}\nQuestion: {question}\nAnswer:'), (row) =>
  ['yes', 'no'].map((word) => `${textIn(row, 'answer')}\nIs the answer correct? ${word}`),
);

export const SUPERGLUE_TEXT: Readonly<Record<string, ChoiceTask>> = {
  'superglue/boolq': BOOLQ,
  'superglue/cb': answersOf(
    filled('{premise}\nQuestion: {hypothesis}. True, False, or Neither?\nAnswer:'),
    ['True', 'False', 'Neither'],
    ['accuracy', 'f1Macro'],
  ),
  'superglue/copa': COPA,
  'superglue/multirc': MULTIRC,
  'superglue/record': RECORD,
  'superglue/rte': answersOf(filled('{premise}\nQuestion: {hypothesis} True or False?\nAnswer:'), ['True', 'False']),
  'superglue/wic': WIC,
  'superglue/wsc': WSC,
};
