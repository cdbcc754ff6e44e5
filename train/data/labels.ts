/**
 * Room: train. Classes: from the labels of a training file to the indices a classifier's head has outputs for.
 * Pure functions.
 */
import { UserError } from '../../engine/errors.ts';
import type { ExampleFile, Label } from './examples.ts';

/** Labels beyond this are a mistake: an id or a score in the label's column. */
const MAX_CLASSES = 1000;

/**
 * The class names of a training file; position is the class index. Where every label is an integer from 0, they are the
 * indices themselves (as Hugging Face reads them), so a class without examples keeps its place. Otherwise every label is
 * a name, and names are numbered in order (numbers by value, else by code unit).
 * @throws UserError where labels are missing or fewer or more than a classifier can use
 */
export function labelNames({ path, rows }: ExampleFile): string[] {
  const found = new Set(rows.flatMap(({ label }) => (label === undefined ? [] : [label])));
  if (found.size === 0) throw new UserError(`${path}: no row has a label, expected "label" in every row`);
  const labels = [...found];
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
  const inRange = typeof label === 'number' && label >= 0 && label < names.length;
  // Names that are numbers leave no room for positions: of the classes 1 and 2, 0 is none.
  if (inRange && names.every((name) => Number.isNaN(Number(name)))) return label;
  const numbered = names.every((name, i) => name === String(i));
  const expected = numbered ? `an integer from 0 to ${names.length - 1}` : `one of ${names.slice(0, 12).join(', ')}`;
  throw new UserError(`${at}: "label" is ${JSON.stringify(label)}, expected ${expected}`);
}
