/**
 * Protects: ARC, whose questions differ in their number of choices, and SQuAD's JSON through the commands: figures are those of what `predict`
 * writes, and submissions are the answers that it gives.
 */
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeRandomFolder } from '../reliability/random-folder.ts';
import { run } from './command.ts';

const BUNDLED = join(import.meta.dirname, '..', '..', 'checkpoints', 'light-roberta');
const SHORT = ['--batch-size', '4', '--max-length', '40', '--lora-r', '2', '--steps', '3'];

let dir: string;
let model: string[];
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'question-sets-'));
  const sizes = { hidden_size: 16, intermediate_size: 32, num_attention_heads: 2, num_hidden_layers: 1 };
  const config = JSON.parse(await readFile(join(BUNDLED, 'config.json'), 'utf8')) as Record<string, unknown>;
  const folder = join(dir, 'model');
  await writeRandomFolder(folder, { ...config, ...sizes }, 1e9);
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(BUNDLED, file), join(folder, file));
  model = ['--model', folder];
});
afterAll(() => rm(dir, { recursive: true }));

const at = (name: string): string => join(dir, name);

async function figures(...args: string[]): Promise<Record<string, number>> {
  const printed = await run(0, 'eval', ...args, '--json');
  return JSON.parse(printed.slice(printed.indexOf('{'))) as Record<string, number>;
}

async function predictions<T>(...args: string[]): Promise<T[]> {
  await run(0, 'predict', ...args, '--out', at('predictions.jsonl'));
  const text = await readFile(at('predictions.jsonl'), 'utf8');
  return text.trim().split('\n').map((line) => JSON.parse(line) as T); // prettier-ignore
}

it('arc_easy: questions of three, four and five choices', async () => {
  const words = ['ice', 'rain', 'sand', 'a stone', 'warm air'];
  const questions = [3, 5, 4, 4, 3, 5].map((count, i) => ({
    id: `q${i}`,
    question: {
      stem: `what is number ${i}?`,
      choices: words.slice(0, count).map((text, c) => ({ text, label: i % 2 ? 'ABCDE'[c] : String(c + 1) })),
    },
    answerKey: i % 2 ? 'C' : '2',
  }));
  await mkdir(at('ARC-Easy'));
  for (const split of ['Train', 'Dev'])
    await writeFile(at(`ARC-Easy/ARC-Easy-${split}.jsonl`), questions.map((row) => JSON.stringify(row)).join('\n'));
  const task = ['--task', 'arc_easy', '--data-dir', dir];
  const printed = await run(0, 'train', ...model, ...task, ...SHORT, '--out', at('arc'));
  expect(printed).toMatch(/arc_easy: 6 training \+ 6 evaluation examples[^]*Accuracy/);

  const tuned = [...model, '--adapter', at('arc'), ...task, '--max-length', '40'];
  const lines = await predictions<{ logits: number[] }>(...tuned);
  expect(lines.map(({ logits }) => logits.length)).toEqual([3, 5, 4, 4, 3, 5]);
  const right = lines.map(({ logits }, i) => Number(logits.indexOf(Math.max(...logits)) === (i % 2 ? 2 : 1)));
  const losses = lines.map(({ logits }, i) => {
    const label = i % 2 ? 2 : 1;
    return Math.log(logits.reduce((sum, x) => sum + Math.exp(x - logits[label]!), 0));
  });
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const { accuracy, loss } = await figures(...tuned);
  expect(accuracy).toBeCloseTo(mean(right), 10);
  expect(loss).toBeCloseTo(mean(losses), 5);
});

it('squad and squad_v2: a file of either, with and without a task', async () => {
  const context = 'the film was made in paris by a young woman, long ago';
  const qa = (id: string, text?: string): object => ({
    id,
    question: `who is ${id}?`,
    is_impossible: text === undefined,
    answers: text === undefined ? [] : [{ text, answer_start: context.indexOf(text) }],
  });
  const file = (...qas: object[]): string =>
    JSON.stringify({ version: 'v2.0', data: [{ title: 'film', paragraphs: [{ context, qas }] }] });
  await writeFile(at('one.json'), file(qa('a', 'paris'), qa('b', 'long ago')));
  await writeFile(at('two.json'), file(qa('a', 'paris'), qa('n'), qa('b', 'long ago')));
  const data = ['--train', at('two.json'), '--eval', at('two.json')];
  const printed = await run(0, 'train', ...model, '--task', 'squad_v2', ...data, ...SHORT, '--out', at('qa'));
  expect(printed).toMatch(/squad_v2: 3 training \+ 3 evaluation examples/);

  const tuned = [...model, '--adapter', at('qa'), '--max-length', '40'];
  expect(await run(2, 'eval', ...tuned, '--task', 'squad', '--data', at('two.json'))).toMatch(
    /two\.json:1: question "n" has no answer.* the task is squad_v2/,
  );
  const one = ['--data', at('one.json')];
  const plain = await figures(...tuned, ...one);
  expect(await figures(...tuned, ...one, '--task', 'squad')).toMatchObject({
    exactMatch: plain.exactMatch,
    f1: plain.f1,
    loss: plain.loss,
  });

  // A threshold below all differences of scores leaves no answer: what squad_v2 has on by itself.
  const v2 = [...tuned, '--task', 'squad_v2', '--data', at('two.json')];
  const none = await figures(...v2, '--null-threshold', '-1000');
  expect(none).toMatchObject({ exactMatch: expect.closeTo(1 / 3, 10) as number, noAnsExactMatch: 1, hasAnsF1: 0 });
  const submission = ['--submission', at('submission.json')];
  expect((await predictions(...v2, ...submission, '--null-threshold', '-1000')).length).toBe(3);
  expect(JSON.parse(await readFile(at('submission.json'), 'utf8'))).toEqual({ a: '', n: '', b: '' });

  const answers = await predictions<{ answer: string }>(...v2, ...submission, '--null-threshold', '1000');
  const submitted = JSON.parse(await readFile(at('submission.json'), 'utf8')) as Record<string, string>;
  expect(Object.keys(submitted)).toEqual(['a', 'n', 'b']);
  expect(Object.values(submitted)).toEqual(answers.map(({ answer }) => answer));
  for (const answer of Object.values(submitted)) expect(context).toContain(answer);
});
