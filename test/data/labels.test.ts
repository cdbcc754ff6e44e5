/** Protects: the same label means the same class in training, evaluation and prediction files. */
import { describe, expect, it } from 'vitest';
import { setWarningHandler } from '../../engine/warnings.ts';
import {
  agreedNames,
  type Label,
  type LabelFile,
  labelIndex,
  labelNames,
  labelSet,
  labelSetNames,
  labelValue,
  problemOf,
} from '../../data/labels.ts';

function file(...labels: (Label | undefined)[]): LabelFile {
  const rows = labels.map((label, i) => ({ line: i + 1, ...(label === undefined ? {} : { label }) }));
  return { path: 'train.csv', rows };
}

describe('labelNames', () => {
  it.each([
    [
      [1, 0, 1],
      ['0', '1'],
    ],
    [
      [3, 0],
      ['0', '1', '2', '3'],
    ],
    [
      ['pos', 'neg', 'pos'],
      ['neg', 'pos'],
    ],
    [
      [-1, 1],
      ['-1', '1'],
    ],
    [
      [-1, -2, 10, 9],
      ['-2', '-1', '9', '10'],
    ],
    [
      [1, 'other'],
      ['1', 'other'],
    ],
  ])('%j → %j', (labels, names) => {
    expect(labelNames(file(...labels))).toEqual(names);
  });

  it.each([
    [[], 'no row has a label'],
    [[undefined], 'no row has a label'],
    [['a', 'a'], 'all labels are a, expected at least two classes'],
    [[0, 0], 'all labels are 0, expected at least two classes'],
    [[0, 5_000_000_000], 'expected at most 1000'],
    [[0, 0.5], 'train.csv:2: "label" is 0.5, expected a class index or a class name'],
    [[0.1, 0.7, 'good', 0.2], 'train.csv:3: "label" is "good", expected a number as in most rows'],
    [[0, 1, 1, [0, 1]], 'train.csv:4: "label" is [0,1], expected a class index'],
    [[[0, 1]], 'train.csv:1: "label" is [0,1], expected a class index or a class name'],
  ])('refuses %j', (labels, message) => {
    expect(() => labelNames(file(...labels))).toThrow(message);
  });
});

describe('agreedNames', () => {
  it.each([
    [
      ['high', 'low'],
      ['low', 'high'],
      ['low', 'high'],
    ],
    [
      ['0', '1'],
      ['low', 'high'],
      ['low', 'high'],
    ],
    [
      ['high', 'low'],
      ['LABEL_0', 'LABEL_1'],
      ['high', 'low'],
    ],
    [
      ['LABEL_0', 'LABEL_1'],
      ['LABEL_1', 'LABEL_0'],
      ['LABEL_1', 'LABEL_0'],
    ],
    [
      ['0', '1'],
      ['1', '0'],
      ['1', '0'],
    ],
    [['value'], ['stars'], ['value']],
    [['high', 'low'], ['low', 'High'], undefined],
    [['LABEL_0', 'LABEL_1'], ['low', 'high'], undefined],
    [['high', 'low'], ['low', 'high', 'middle'], undefined],
  ])('%j beside the model’s %j', (found, own, agreed) => {
    expect(agreedNames(found, own)).toEqual(agreed);
  });

  it('takes a model’s names where the labels are these, numbers or not', () => {
    expect(labelNames(file(1, 2, 1), ['2', '1'])).toEqual(['2', '1']);
    expect(labelNames(file(1, 2, 1), ['a', 'b'])).toEqual(['0', '1', '2']);
  });
});

it('numbers among names, and names among numbers, are told', () => {
  const warnings: string[] = [];
  const before = setWarningHandler((text) => warnings.push(text));
  labelNames(file(0, 1, '?', 1));
  labelNames(file('a', 'b', 3));
  labelNames(file('a', 'b'));
  setWarningHandler(before);
  expect(warnings).toEqual([
    'train.csv:3: "label" is "?": 1 labels are names, 3 are numbers; all are taken for names',
    'train.csv:3: "label" is 3: 1 labels are numbers, 2 are names; all are taken for names',
  ]);
});

describe('labelIndex', () => {
  it('finds names, and integers as indices where names are words', () => {
    expect(labelIndex('pos', ['neg', 'pos'], 'f:1')).toBe(1);
    expect(labelIndex(1, ['neg', 'pos'], 'f:1')).toBe(1);
    expect(labelIndex(2, ['0', '1', '2'], 'f:1')).toBe(2);
    expect(labelIndex(1, ['-1', '1'], 'f:1')).toBe(1);
    expect(labelIndex(1, ['-1', '+1'], 'f:1')).toBe(1);
    expect(labelIndex(2, ['01', '02'], 'f:1')).toBe(1);
  });

  it('names file, line and what was expected', () => {
    expect(() => labelIndex(3, ['0', '1', '2'], 'f.csv:9')).toThrow(
      'f.csv:9: "label" is 3, expected an integer from 0 to 2',
    );
    expect(() => labelIndex(0, ['-1', '1'], 'f:1')).toThrow('f:1: "label" is 0, expected one of -1, 1');
    expect(() => labelIndex('x', ['neg', 'pos'], 'f:1')).toThrow('f:1: "label" is "x", expected one of neg, pos');
    expect(() => labelIndex(-1, ['neg', 'pos'], 'f:1')).toThrow('expected one of neg, pos');
  });
});

describe('problemOf', () => {
  it.each([
    [[0, 1, 2], 'single_label_classification'],
    [['a', 0.5], 'single_label_classification'],
    [[0, 0.5, 3], 'regression'],
    [
      [
        [0, 1],
        [1, 1],
      ],
      'multi_label_classification',
    ],
  ])('%j → %s', (labels, problem) => {
    expect(problemOf(file(...labels), undefined)).toBe(problem);
  });

  it('what is asked for goes first', () => {
    expect(problemOf(file(0, 1), 'regression')).toBe('regression');
  });
});

describe('numbers and sets', () => {
  it('are read, and told from what they are not', () => {
    expect([labelValue(1.5, 'f:1'), labelValue('-2', 'f:1')]).toEqual([1.5, -2]);
    expect(() => labelValue('good', 'f:1')).toThrow('f:1: "label" is "good", expected a number');
    expect(labelSetNames(file([0, 1, 1]))).toEqual(['0', '1', '2']);
    expect(labelSet([0, 1], 2, 'f:1')).toEqual([0, 1]);
    expect(() => labelSet([0, 1], 3, 'f:1')).toThrow(
      'f:1: "label" is [0,1], expected a list of 3 entries, each 0 or 1',
    );
  });
});
