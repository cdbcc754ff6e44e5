/** Room: scripts/paper. Questions in SQuAD's form: one file split by articles, and how good answers are, question by question. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { scoreAnswer } from '../../data/metrics/answers.ts';
import { ARTICLES, questionsOfArticle } from '../../data/qa/squad.ts';
import { UserError } from '../../engine/errors.ts';
import { parseJson, readJson, validate, writeJson } from '../../engine/io/files.ts';
import { makeFolder } from '../../engine/io/make-folder.ts';

const fileSchema = z.looseObject({ [ARTICLES]: z.array(z.looseObject({})).min(2) });

/** Every so many articles one is evaluated on, so that no paragraph is on both sides. */
const EVERY = 5;

/** Writes both sides to a folder. @returns their paths, by the flags that take them */
export async function splitArticles(path: string, folder: string): Promise<Record<'train' | 'eval', string>> {
  const { data, ...others } = await readJson(path, fileSchema);
  const paths = { train: join(folder, 'train.json'), eval: join(folder, 'eval.json') };
  const isEvaluated = (i: number): boolean => i % EVERY === EVERY - 1;
  await makeFolder(folder);
  await writeJson(paths.train, { ...others, data: data.filter((_, i) => !isEvaluated(i)) });
  await writeJson(paths.eval, { ...others, data: data.filter((_, i) => isEvaluated(i)) });
  return paths;
}

const lineSchema = z.looseObject({ answer: z.string() });

/** F1 of words of every question of a file. @param lines written by `predict` */
export async function answerScores(path: string, lines: string): Promise<number[]> {
  const { data } = await readJson(path, fileSchema);
  const questions = data.flatMap((fields, line) => questionsOfArticle({ fields, line }, path));
  const texts = (await readFile(lines, 'utf8')).split('\n').slice(0, -1);
  if (texts.length !== questions.length)
    throw new UserError(`${lines}: found ${texts.length} answers, expected ${questions.length}`);
  return texts.map((text, i) => {
    const where = `${lines}: line ${i + 1}`;
    const { answer } = validate(parseJson(text, where), lineSchema, where);
    return scoreAnswer({ answer, expected: questions[i]!.answers?.text ?? [] }).f1;
  });
}
