/**
 * Room: data/tasks. ReCoRD (Zhang et al. 2018) in SuperGLUE's form: passages with queries, a query with a gap that an entity of the passage fills.
 * A row is a query, as on the Hugging Face hub; an example is a query with one entity; the figures are of the entity with the highest score.
 * A declaration only.
 */
import { UserError } from '../../engine/errors.ts';
import { preview } from '../../engine/io/files.ts';
import { bestOfGroups } from '../metrics.ts';
import type { Fields } from '../records.ts';
import { labelled, textOf, TRUTH } from './fields.ts';
import { objectOf, objectsOf } from './nested.ts';
import type { Task, TaskRow } from './task.ts';

/** As on the hub. */
interface Idx {
  readonly passage?: unknown;
  readonly query?: unknown;
}

const GAP = '@placeholder';

/** A row of the hub's, or all queries of a line as it is distributed. */
function rows(record: Fields, at: string): TaskRow[] {
  if (typeof record.fields.passage === 'string') return [hubRow(record, at)];
  const found = objectOf(record, 'passage', at);
  const passage = textOf(found, 'text', `${at}: "passage"`);
  const entities = entitiesOf(found, passage, `${at}: "passage"`);
  return objectsOf(record, 'qas', at).map(([asked, where], q) => ({
    passage,
    query: queryOf(asked, where),
    entities,
    answers: distinct(answersOf(asked, where)),
    idx: { passage: record.fields.idx ?? record.line - 1, query: asked.fields.idx ?? q },
  }));
}

function hubRow(record: Fields, at: string): TaskRow {
  return {
    passage: textOf(record, 'passage', at),
    query: queryOf(record, at),
    entities: distinct(stringsOf(record, 'entities', at)),
    answers: distinct(record.fields.answers === undefined ? [] : stringsOf(record, 'answers', at)),
    idx: record.fields.idx,
  };
}

function queryOf(record: Fields, at: string): string {
  const query = textOf(record, 'query', at);
  if (query.includes(GAP)) return query;
  throw new UserError(`${at}: "query" is ${preview(query)}, expected a text with ${GAP}`);
}

/** Sorted, so that the order of the file decides nothing. */
function distinct(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].sort();
}

function stringsOf({ fields }: Fields, column: string, at: string): readonly string[] {
  const values = fields[column];
  if (Array.isArray(values) && values.every((value) => typeof value === 'string')) return values;
  throw new UserError(`${at}: "${column}" is ${preview(values)}, expected a list of texts`);
}

/** None in test splits. */
function answersOf(asked: Fields, at: string): readonly string[] {
  if (asked.fields.answers === undefined) return [];
  return objectsOf(asked, 'answers', at).map(([answer, place]) => textOf(answer, 'text', place));
}

/** Places count code points, and the last one belongs to the entity. */
function entitiesOf(found: Fields, passage: string, at: string): readonly string[] {
  const characters = Array.from(passage);
  const texts = objectsOf(found, 'entities', at).map(([{ fields }, place]) => {
    const { start, end } = fields;
    const isInside = Number.isInteger(start) && Number.isInteger(end) && (start as number) >= 0;
    if (isInside && (start as number) <= (end as number) && (end as number) < characters.length)
      return characters.slice(start as number, (end as number) + 1).join('');
    throw new UserError(
      `${place} is ${preview(fields)}, expected "start" and "end" of characters of a text of ${characters.length}`,
    );
  });
  return distinct(texts);
}

/** Rows without numbers are told apart by their texts. */
function questionOf({ idx, passage, query }: TaskRow): string {
  const { passage: p = passage, query: q = query } = (idx ?? {}) as Idx;
  return JSON.stringify([p, q]);
}

/** A row with one of its entities, which is right or not where the answers are known. */
function candidates(row: TaskRow): TaskRow[] {
  const answers = row.answers as readonly string[];
  return (row.entities as readonly string[]).map((entity) => ({
    ...row,
    entity,
    ...(answers.length > 0 && { label: Number(answers.includes(entity)) }),
  }));
}

export const RECORD: Task = {
  name: 'superglue/record',
  head: 'classification',
  labels: TRUTH,
  metrics: ['f1', 'exactMatch'],
  rows,
  candidates,
  example: (row) => ({
    // The summary's points follow the text.
    text_a: (row.passage as string).replaceAll('@highlight\n', '- '),
    text_b: (row.query as string).replaceAll(GAP, () => row.entity as string),
    ...labelled(row, TRUTH),
  }),
  group: (row) => [row.passage as string, questionOf(row)],
  key: (row) => ({ idx: row.idx, entity: row.entity, answers: row.answers, question: questionOf(row) }),
  submission: {
    file: 'ReCoRD.jsonl',
    lines: (rows) =>
      answersGiven(
        rows.map(({ key }) => key),
        rows.map(({ scores }) => scores),
      ).map(({ idx, entity }, place) =>
        JSON.stringify({ idx: (idx as Idx | undefined)?.query ?? place, label: entity }),
      ),
  },
  judge: (keys, scores) => {
    const texts = answersGiven(keys, scores).map(({ entity, answers }) => ({
      answer: entity as string,
      expected: answers as readonly string[],
    }));
    return { labels: [], predictions: [], classes: 2, texts: texts.filter(({ expected }) => expected.length > 0) };
  },
};

/** The key of each query's answer, in the order of the queries. */
function answersGiven(keys: readonly TaskRow[], scores: readonly Float32Array[]): TaskRow[] {
  const leads = scores.map((row) => row[1]! - row[0]!);
  const questions = keys.map(({ question }) => question as string);
  return bestOfGroups(leads, questions).map((row) => keys[row]!);
}
