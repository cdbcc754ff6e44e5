/**
 * Room: data. Classes: from the labels of a training file to the indices a classifier's head has outputs for.
 * Pure functions.
 */
import { UserError } from '../engine/errors.ts';
import { preview } from '../engine/io/files.ts';
import type { ModelConfig } from '../models/architecture.ts';
import type { ExampleFile, Label } from './examples.ts';

/** What the classification head is asked for, by transformers' names. */
export type Problem = NonNullable<ModelConfig['problemType']>;

/**
 * The problem that labels pose: lists ask for any number of classes, numbers of which some are fractions for a number.
 * @param asked goes before what the labels tell
 */
export function problemOf({ rows }: ExampleFile, asked: Problem | undefined): Problem {
  if (asked) return asked;
  const labels = rows.flatMap(({ label }) => (label === undefined ? [] : [label]));
  if (labels.some((label) => typeof label === 'object')) return 'multi_label_classification';
  const numbers = labels.every((label) => typeof label === 'number');
  return numbers && !labels.every(Number.isInteger) ? 'regression' : 'single_label_classification';
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
export function labelSetNames({ path, rows }: ExampleFile): string[] {
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
export function labelNames({ path, rows }: ExampleFile, own: readonly string[] = []): readonly string[] {
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
  const index = names.indexOf(String(label));
  if (index >= 0) return index;
  const inRange = typeof label === 'number' && Number.isInteger(label) && label >= 0 && label < names.length;
  // Names that are numbers leave no room for positions: of the classes 1 and 2, 0 is none.
  if (inRange && names.every((name) => Number.isNaN(Number(name)))) return label;
  const numbered = names.every((name, i) => name === String(i));
  const expected = numbered ? `an integer from 0 to ${names.length - 1}` : `one of ${names.slice(0, 12).join(', ')}`;
  throw new UserError(`${at}: "label" is ${JSON.stringify(label)}, expected ${expected}`);
}
