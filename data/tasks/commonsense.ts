/**
 * Room: data/tasks. The question sets that are known as the commonsense suite, as distributed and as on the Hugging Face hub: BoolQ (Clark et
 * al. 2019), PIQA (Bisk et al. 2020), Social IQa (Sap et al. 2019), HellaSwag (Zellers et al. 2019), WinoGrande (Sakaguchi et al. 2020), ARC
 * (Clark et al. 2018) and OpenBookQA (Mihaylov et al. 2018). Declarations only.
 */
import { UserError } from '../../engine/errors.ts';
import { preview } from '../../engine/io/files.ts';
import { questionOf, rightOf, textListOf, textsOf, withChoices, type KeyedChoices } from './choices.ts';
import { classOf, labelled } from './fields.ts';
import type { Task } from './task.ts';

const CHOICES = { head: 'multiple-choice', labels: [], metrics: ['accuracy'] } as const;

const TRUTH = ['False', 'True'];

const BOOLQ: Task = {
  name: 'boolq',
  head: 'classification',
  labels: TRUTH,
  metrics: ['accuracy'],
  rows: (record, at) => {
    const column = record.fields.answer === undefined ? 'label' : 'answer';
    return [{ ...textsOf(record, ['question', 'passage'], at), ...classOf(record, TRUTH, at, column) }];
  },
  example: (row) => ({ text_a: row.question, text_b: row.passage, ...labelled(row, TRUTH) }),
};

/** Names of splits in the Allen Institute's files. */
const AI2_FILES: Task['files'] = { validation: ['dev', 'valid', 'validation'], test: ['tests', 'test'] };

const PIQA: Task = {
  ...CHOICES,
  name: 'piqa',
  folders: ['physicaliqa-train-dev', 'physicaliqa'],
  files: AI2_FILES,
  hasLabelFile: true,
  rows: (record, at) => [{ ...textsOf(record, ['goal', 'sol1', 'sol2'], at), ...classOf(record, ['0', '1'], at) }],
  example: (row) => withChoices(row, row.goal, [row.sol1, row.sol2]),
};

const SOCIAL_IQA: Task = {
  ...CHOICES,
  name: 'social_iqa',
  folders: ['socialiqa-train-dev', 'socialiqa', 'social_i_qa', 'siqa'],
  files: AI2_FILES,
  hasLabelFile: true,
  rows: (record, at) => {
    const texts = textsOf(record, ['context', 'question', 'answerA', 'answerB', 'answerC'], at);
    return [{ ...texts, ...rightOf(record, 'label', ['1', '2', '3'], at) }];
  },
  example: (row) =>
    withChoices(row, `${String(row.context)} ${String(row.question)}`, [row.answerA, row.answerB, row.answerC]),
};

/** A context may end amid a sentence, `ctx_b`, which the endings go on with. */
const HELLASWAG: Task = {
  ...CHOICES,
  name: 'hellaswag',
  files: {
    train: ['hellaswag_train', 'train'],
    validation: ['hellaswag_val', 'validation', 'val'],
    test: ['hellaswag_test', 'test'],
  },
  rows: (record, at) => {
    const texts = textsOf(record, ['activity_label', 'ctx_a', 'ctx_b', 'ctx'], at);
    const endings = textListOf(record, 'endings', at);
    const { ind, source_id, split, split_type } = record.fields;
    const names = endings.map((_, i) => String(i));
    return [{ ind, ...texts, endings, source_id, split, split_type, ...classOf(record, names, at) }];
  },
  example: (row) => {
    const begun = row.ctx_b === '' ? '' : `${String(row.ctx_b)} `;
    return withChoices(
      row,
      row.ctx_a,
      (row.endings as readonly string[]).map((ending) => begun + ending),
    );
  },
};

const BLANK = '_';

/** @param size of the training set; the usual one, under the plain name, is the largest */
function winogrande(size?: string): Task {
  const config = `winogrande_${size ?? 'xl'}`;
  return {
    ...CHOICES,
    name: size === undefined ? 'winogrande' : config,
    folders: [config, 'winogrande', 'winogrande_1.1'],
    files: { train: [`train_${size ?? 'xl'}`, 'train'], validation: ['dev', 'validation'] },
    rows: (record, at) => {
      const texts = textsOf(record, ['sentence', 'option1', 'option2'], at);
      if (!texts.sentence.includes(BLANK))
        throw new UserError(
          `${at}: "sentence" is ${preview(texts.sentence)}, expected a ${BLANK} where the options fit`,
        );
      return [{ ...texts, answer: record.fields.answer ?? '', ...rightOf(record, 'answer', ['1', '2'], at) }];
    },
    example: (row) => {
      const sentence = String(row.sentence);
      const blank = sentence.indexOf(BLANK);
      const rest = sentence.slice(blank + BLANK.length).trim();
      const endings = [row.option1, row.option2].map((option) => `${String(option)} ${rest}`);
      return withChoices(row, sentence.slice(0, blank).trim(), endings);
    },
  };
}

const SIZES = ['xs', 's', 'm', 'l', 'xl', 'debiased'] as const;

/** Questions of which most have four choices, some three or five. */
function arc(name: string, folder: string): Task {
  return {
    ...CHOICES,
    name,
    folders: ['ARC-V1-Feb2018-2', 'ARC-V1-Feb2018', 'ai2_arc', folder],
    files: {
      train: [`${folder}-Train`, 'train'],
      validation: [`${folder}-Dev`, 'validation', 'dev'],
      test: [`${folder}-Test`, 'test'],
    },
    rows: (record, at) => {
      const { stem, choices } = questionOf(record, 'question', at);
      const { id, answerKey = '' } = record.fields;
      return [{ id, question: stem, choices, answerKey, ...rightOf(record, 'answerKey', choices.label, at) }];
    },
    example: (row) => withChoices(row, row.question, (row.choices as KeyedChoices).text),
  };
}

const OPENBOOKQA: Task = {
  ...CHOICES,
  name: 'openbookqa',
  folders: ['OpenBookQA-V1-Sep2018', 'Main'],
  files: AI2_FILES,
  rows: (record, at) => {
    const { stem, choices } = questionOf(record, 'question_stem', at);
    const { id, answerKey = '' } = record.fields;
    return [{ id, question_stem: stem, choices, answerKey, ...rightOf(record, 'answerKey', choices.label, at) }];
  },
  example: (row) => withChoices(row, row.question_stem, (row.choices as KeyedChoices).text),
};

export const COMMONSENSE: readonly Task[] = [
  BOOLQ,
  PIQA,
  SOCIAL_IQA,
  HELLASWAG,
  winogrande(),
  ...SIZES.map(winogrande),
  arc('arc_easy', 'ARC-Easy'),
  arc('arc_challenge', 'ARC-Challenge'),
  OPENBOOKQA,
];
