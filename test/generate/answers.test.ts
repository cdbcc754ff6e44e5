/** Protects: answers to questions are generated greedily, end at the end of a line, and are judged as SQuAD's. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { answerQuestions, type AnswerEvaluation } from '../../generate/answers.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { loadTokenizer } from '../../models/tokenizer.ts';
import { tinyLanguageModel } from '../cli/tiny-language-model.ts';
import { openTestEngine } from '../engine.ts';

const engine = await openTestEngine();
const CONTEXTS = ['the grass is green', 'Question: where?\n\nAnswer:'];

let model: string;
beforeAll(async () => {
  model = await tinyLanguageModel(await mkdtemp(join(tmpdir(), 'light-peft-')), CONTEXTS, 64);
});
afterAll(() => rm(model, { recursive: true }));

async function answersTo(expected: readonly (readonly string[])[]): Promise<AnswerEvaluation> {
  const tokenizer = await loadTokenizer(model);
  const questions = await Promise.all(
    CONTEXTS.map(async (context, i) => ({
      at: `questions:${i + 1}`,
      ids: Int32Array.from((await tokenizer.encode(context)).ids),
      expected: expected[i]!,
    })),
  );
  const checkpoint = await loadModel(model);
  return answerQuestions(engine, { kind: 'answers', questions, maxNewTokens: 8, checkpoint });
}

it('answers every question, the same again, and judges it', async () => {
  const wrong = await answersTo([['nothing of the kind'], ['nothing of the kind']]);
  expect(wrong.metrics).toMatchObject({ count: 2, exactMatch: 0 });
  expect(wrong.answers.some((answer) => answer.includes('\n'))).toBe(false);
  const right = await answersTo(wrong.answers.map((answer) => ['other', answer]));
  expect(right.answers).toEqual(wrong.answers);
  expect(right.metrics).toMatchObject({ count: 2, exactMatch: 1 });
});
