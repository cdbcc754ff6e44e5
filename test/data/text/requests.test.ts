/** Protects: a task as text is, to the character, what lm-evaluation-harness asks a model, without and with examples before a row. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { TaskRow } from '../../../data/tasks/task.ts';
import { FewShot } from '../../../data/text/few-shot.ts';
import { ANSWER_DELIMITER } from '../../../data/text/text-task.ts';
import { textTaskNamed } from '../../../data/text/text-tasks.ts';

type Request = readonly [context: string, continuation: string];

interface Fixture {
  readonly train: readonly TaskRow[];
  readonly trainGold: readonly number[];
  readonly docs: readonly TaskRow[];
  readonly gold: readonly number[];
  /** By number of examples: of each row its requests. */
  readonly requests: Readonly<Record<string, readonly (readonly Request[])[]>>;
}

const FIXTURES = JSON.parse(
  readFileSync(join(import.meta.dirname, '..', '..', 'goldens', 'choices', 'requests.json'), 'utf8'),
) as Readonly<Record<string, Fixture>>;

/** Our names of the harness's tasks, where they are others. */
const NAMES: Readonly<Record<string, string>> = {
  sglue_rte: 'superglue/rte',
  boolq: 'superglue/boolq',
  mnli_mismatch: 'glue/mnli_mismatched',
  squadv2: 'squad_v2',
  ...Object.fromEntries(['cb', 'copa', 'multirc', 'record', 'wic', 'wsc'].map((name) => [name, `superglue/${name}`])),
  ...Object.fromEntries(['cola', 'mnli', 'mrpc', 'qnli', 'qqp', 'rte', 'sst2', 'wnli'].map((n) => [n, `glue/${n}`])),
};

/** Rows as tasks give them: `label` is the class. */
function rowsOf(rows: readonly TaskRow[], gold: readonly number[]): TaskRow[] {
  return rows.map((row, i) => ({ ...row, label: gold[i] }));
}

const ALL = Object.entries(FIXTURES).flatMap(([name, fixture]) =>
  Object.entries(fixture.requests).map(([shots, requests]) => ({ name, shots: Number(shots), requests, fixture })),
);

describe.each(ALL)('$name with $shots examples', ({ name, shots, requests, fixture }) => {
  const task = textTaskNamed(NAMES[name] ?? name);
  const docs = rowsOf(fixture.docs, fixture.gold);
  const fewShot = shots > 0 ? new FewShot(task, rowsOf(fixture.train, fixture.trainGold), shots) : undefined;

  it('asks what the harness asks', () => {
    const asked = docs.map((row): Request[] => {
      const before = fewShot?.before(row) ?? '';
      if (task.kind === 'answer') return [[before + task.context(row), '']];
      return task.choices(row).map(({ context, answer }) => [before + context, ANSWER_DELIMITER + answer]);
    });
    const expected = task.kind === 'answer' ? requests.map(([first]) => [[first![0], '']]) : requests;
    expect(asked).toEqual(expected);
  });

  it('knows the right answer', () => {
    const right = docs.map((row) => (task.kind === 'answer' ? ANSWER_DELIMITER + task.answer(row) : task.gold(row)));
    expect(right).toEqual(fixture.gold);
  });
});
