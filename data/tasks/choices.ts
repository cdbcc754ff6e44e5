/** Room: data/tasks. What multiple-choice tasks read of records: texts, choices with their keys, and which of them is right. Pure functions. */
import { UserError } from '../../engine/errors.ts';
import { preview } from '../../engine/io/files.ts';
import type { Fields } from '../records.ts';
import { textOf } from './fields.ts';
import type { TaskRow } from './task.ts';

/** Columns of text. @throws UserError where one is none */
export function textsOf<C extends string>(record: Fields, columns: readonly C[], at: string): Record<C, string> {
  return Object.fromEntries(columns.map((column) => [column, textOf(record, column, at)])) as Record<C, string>;
}

/** A column of several texts. @throws UserError where it is none */
export function textListOf({ fields }: Fields, column: string, at: string): readonly string[] {
  const value = fields[column];
  if (isTextList(value) && value.length > 1) return value;
  throw new UserError(`${at}: "${column}" is ${preview(value)}, expected a list of two texts at least`);
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

/** Choices as the Hugging Face hub has them: texts, and for each its key, as `A`. */
export interface KeyedChoices {
  readonly text: readonly string[];
  readonly label: readonly string[];
}

/** A question with choices. */
export interface ChoiceQuestion {
  readonly stem: string;
  readonly choices: KeyedChoices;
}

/**
 * A question as AI2's files have it, `{"question": {"stem", "choices": [{"text", "label"}, …]}}`, or as the hub, a text beside `choices`.
 * @param column of the hub's text
 * @throws UserError where it is neither
 */
export function questionOf(record: Fields, column: string, at: string): ChoiceQuestion {
  const { question, choices } = record.fields;
  if (typeof question !== 'object' || question === null)
    return { stem: textOf(record, column, at), choices: keyedChoices(choices, 'choices', at) };
  const fields = question as Fields['fields'];
  return {
    stem: textOf({ ...record, fields }, 'stem', `${at}: "question"`),
    choices: keyedChoices(fields.choices, 'question.choices', at),
  };
}

function keyedChoices(value: unknown, name: string, at: string): KeyedChoices {
  const columns: Readonly<Record<string, unknown>> = Array.isArray(value)
    ? { text: pluck(value, 'text'), label: pluck(value, 'label') }
    : ((value ?? {}) as Readonly<Record<string, unknown>>);
  const { text, label } = columns;
  if (isTextList(text) && isTextList(label) && text.length === label.length && text.length > 1) return { text, label };
  const expected = 'two at least, as {"text": […], "label": […]} or a list of {"text", "label"}';
  throw new UserError(`${at}: "${name}" is ${preview(value)}, expected ${expected}`);
}

function pluck(items: readonly unknown[], key: string): unknown[] {
  return items.map((item) => (item as Readonly<Record<string, unknown>> | null)?.[key]);
}

/**
 * The right choice by its key; nothing where the column is absent or empty, as in test splits.
 * @param keys in the order of the choices
 * @throws UserError where it is none of them
 */
export function rightOf(
  { fields }: Fields,
  column: string,
  keys: readonly string[],
  at: string,
): { readonly label?: number } {
  const value = fields[column];
  if (value === undefined || value === null) return {};
  const key = typeof value === 'string' || typeof value === 'number' ? String(value).trim() : undefined;
  if (key === '') return {};
  const label = key === undefined ? -1 : keys.indexOf(key);
  if (label >= 0) return { label };
  throw new UserError(`${at}: "${column}" is ${preview(value)}, expected one of ${keys.join(', ')}`);
}

/** The columns of a multiple-choice example: each choice is the second text of a pair. */
export function withChoices({ label }: TaskRow, text: unknown, choices: readonly unknown[]): Fields['fields'] {
  return { text, choices, ...(label !== undefined && { label }) };
}
