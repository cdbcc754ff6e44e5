/**
 * Room: data. Classes: from the labels of a training file to the indices a classifier's head has outputs for.
 * Pure functions.
 */
import { UserError } from '../engine/errors.ts';
import { preview, previewNames } from '../engine/io/files.ts';
import { warn } from '../engine/warnings.ts';
import type { ModelConfig } from '../models/architecture.ts';

/** As found in the file: an integer class index, a class name, a number to predict, or 0 or 1 for every class. */
export type Label = number | string | readonly number[];

/** A label of a file. */
export interface LabelRow {
  /** Line of the file, from 1; of several rows the first. */
  readonly line: number;
  readonly label?: Label;
  /** Rows that have it; absent: one. */
  readonly count?: number;
}

/** The labels of a file, in the order of the first row of each; a label may be there several times. */
export interface LabelFile {
  readonly path: string;
  readonly rows: readonly LabelRow[];
}

/** What the classification head is asked for, by transformers' names. */
export type Problem = NonNullable<ModelConfig['problemType']>;

/**
 * The problem that labels pose: lists, where they are no fewer than other labels, ask for any number of classes, numbers of which some are
 * fractions for a number.
 * @param asked goes before what the labels tell
 */
export function problemOf({ rows }: LabelFile, asked: Problem | undefined): Problem {
  if (asked) return asked;
  const labelled = rows.filter(({ label }) => label !== undefined);
  const lists = labelled.filter(({ label }) => typeof label === 'object');
  if (lists.length > 0 && countOf(lists) >= countOf(labelled) / 2) return 'multi_label_classification';
  const numbers = labelled.every(({ label }) => typeof label === 'number');
  const areIntegers = labelled.every(({ label }) => Number.isInteger(label));
  return numbers && !areIntegers ? 'regression' : 'single_label_classification';
}

function countOf(rows: readonly LabelRow[]): number {
  return rows.reduce((sum, { count = 1 }) => sum + count, 0);
}

/** A label to regress on. @throws UserError where it is no number */
export function labelValue(label: Label, at: string): number {
  const value = typeof label === 'string' ? Number(label) : label;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new UserError(`${at}: "label" is ${preview(label)}, expected a number`);
}

/** A label of 0 or 1 for every class. @throws UserError where it is none */
export function labelSet(label: Label, classes: number, at: string): readonly number[] {
  if (typeof label === 'object' && label.length === classes) return label;
  throw new UserError(`${at}: "label" is ${preview(label)}, expected a list of ${classes} entries, each 0 or 1`);
}

/** Names of as many classes as the first label has entries. */
export function labelSetNames({ path, rows }: LabelFile): string[] {
  const label = rows.find((row) => row.label !== undefined)?.label;
  if (typeof label === 'object') return label.map((_, i) => String(i));
  throw new UserError(`${path}: "label" is ${preview(label)}, expected a list with 0 or 1 for every class`);
}

/** Labels beyond this are a mistake: an id or a score in the label's column. */
const MAX_CLASSES = 1000;

/**
 * The class names of a training file; position is the class index. Where every label is an integer from 0, they are the
 * indices themselves (as Hugging Face reads them), so a class without examples keeps its place. Otherwise every label is
 * a name, and names are numbered in order (numbers by value, else by code unit).
 * @param own names of a model's head: taken as they are where the labels are just these
 * @throws UserError where labels are missing or fewer or more than a classifier can use
 */
export function labelNames({ path, rows }: LabelFile, own: readonly string[] = []): readonly string[] {
  checkMixed(path, rows);
  const found = new Set(rows.flatMap(({ label, line }) => (label === undefined ? [] : [classOf(label, path, line)])));
  if (found.size === 0) throw new UserError(`${path}: no row has a label, expected "label" in every row`);
  const labels = [...found];
  if (own.length > 1 && isSame(new Set(labels.map(String)), own)) return own;
  const indices = labels.every((label) => typeof label === 'number' && label >= 0);
  const names = indices ? upTo(Math.max(...(labels as number[]))) : [...new Set(labels.map(String))].sort(compareNames);
  if (names.length > MAX_CLASSES) {
    throw new UserError(
      `${path}: labels make ${names.length} classes, expected at most ${MAX_CLASSES}; is "label" a class?`,
    );
  }
  if (names.length < 2) throw new UserError(`${path}: all labels are ${names[0]}, expected at least two classes`);
  return names;
}

/**
 * The names of a file's classes, in the order of a model's own head where both mean the same classes: there are as many, and names, if
 * both have them, are the same in any order.
 * @param found names, or indices, of a file
 * @param own names of the model; `LABEL_0`, `LABEL_1` … and indices say nothing
 * @returns undefined where they mean other classes
 */
export function agreedNames(found: readonly string[], own: readonly string[]): readonly string[] | undefined {
  if (found.length !== own.length) return undefined;
  // A number to predict has no class.
  if (found.length === 1) return found;
  if (isSame(new Set(found), own)) return own;
  const ownHasNames = !own.every((name, i) => name === `LABEL_${i}` || name === String(i));
  if (!ownHasNames) return found;
  return found.every((name, i) => name === String(i)) ? own : undefined;
}

function isSame(found: ReadonlySet<string>, own: readonly string[]): boolean {
  return found.size === own.length && own.every((name) => found.has(name));
}

/**
 * Numbers among names, or names among numbers, are often a mistake.
 * @throws UserError for names among fractions
 */
function checkMixed(path: string, rows: readonly LabelRow[]): void {
  const numbers = rows.filter(({ label }) => typeof label === 'number');
  const names = rows.filter(({ label }) => typeof label === 'string');
  if (numbers.length === 0 || names.length === 0) return;
  const [few, many] = countOf(names) <= countOf(numbers) ? [names, numbers] : [numbers, names];
  const { line, label } = few[0]!;
  const [kind, other] = many === numbers ? ['numbers', 'names'] : ['names', 'numbers'];
  const found = `${path}:${line}: "label" is ${preview(label)}`;
  if (many === numbers && numbers.some((row) => !Number.isInteger(row.label)))
    throw new UserError(`${found}, expected a number as in most rows`);
  if (numbers.every((row) => Number.isInteger(row.label)))
    warn(`${found}: ${countOf(few)} labels are ${other}, ${countOf(many)} are ${kind}; all are taken for names`);
}

/** @throws UserError for a fraction or a list, which are no classes */
function classOf(label: Label, path: string, line: number): number | string {
  if (typeof label === 'string' || (typeof label === 'number' && Number.isInteger(label))) return label;
  throw new UserError(`${path}:${line}: "label" is ${preview(label)}, expected a class index or a class name`);
}

function upTo(last: number): string[] {
  // One name too many is enough to be refused.
  return Array.from({ length: Math.min(last, MAX_CLASSES) + 1 }, (_, i) => String(i));
}

function compareNames(a: string, b: string): number {
  const difference = Number(a) - Number(b);
  if (difference !== 0 && !Number.isNaN(difference)) return difference;
  return a < b ? -1 : 1;
}

/**
 * The class index of a label: the position of its name, or an integer that is itself in range.
 * @param at file and line for the message
 */
export function labelIndex(label: Label, names: readonly string[], at: string): number {
  const exact = names.indexOf(String(label));
  // A name may spell the number in another way: "+1", "01".
  const isSame = (name: string): boolean => name.trim() !== '' && Number(name) === label;
  const index = exact < 0 && typeof label === 'number' ? names.findIndex(isSame) : exact;
  if (index >= 0) return index;
  const inRange = typeof label === 'number' && Number.isInteger(label) && label >= 0 && label < names.length;
  // Names that are numbers leave no room for positions: of the classes 1 and 2, 0 is none.
  if (inRange && names.every((name) => Number.isNaN(Number(name)))) return label;
  const numbered = names.every((name, i) => name === String(i));
  const expected = numbered ? `an integer from 0 to ${names.length - 1}` : `one of ${previewNames(names)}`;
  throw new UserError(`${at}: "label" is ${JSON.stringify(label)}, expected ${expected}`);
}
