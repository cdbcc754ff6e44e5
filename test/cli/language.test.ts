/** Protects: language models through the commands — learned completions come out again, whole and pruned, from several adapters. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { runCommand } from '../../cli/program.ts';
import { tinyLanguageModel } from './tiny-language-model.ts';
import { parseComparison } from '../../report/schema.ts';

const PAIRS = [
  ['the grass is', ' green'],
  ['the sky is', ' blue'],
  ['the sun is', ' gold'],
  ['the café is', ' ☕ → ñandú'],
] as const;

let dir: string;
let model: string;
const written = { out: '', err: '' };
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'light-peft-'));
  model = await tinyLanguageModel(
    join(dir, 'model'),
    PAIRS.map((pair) => pair.join('')),
  );
  const pairs = PAIRS.map(([prompt, completion]) => JSON.stringify({ prompt, completion }));
  await writeFile(join(dir, 'pairs.jsonl'), pairs.join('\n'));
});
afterAll(() => rm(dir, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

async function light(...argv: string[]): Promise<number> {
  written.out = written.err = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => ((written.out += String(text)), true));
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => ((written.err += String(text)), true));
  return runCommand(argv);
}

async function succeeds(...argv: string[]): Promise<string> {
  expect(await light(...argv), written.err).toBe(0);
  return written.out;
}

const SETTINGS = ['--max-length', '32', '--batch-size', '4', '--lr', '2e-2', '--dropout', '0', '--no-bucket'];

it('fine-tunes on completions, scores perplexity, and generates what was learned', { timeout: 240_000 }, async () => {
  const pairs = join(dir, 'pairs.jsonl');
  const tuned = join(dir, 'tuned');
  await succeeds(
    'train',
    '--model',
    model,
    '--train',
    pairs,
    '--eval',
    pairs,
    '--steps',
    '60',
    '--out',
    tuned,
    ...SETTINGS,
  );
  const config = JSON.parse(await readFile(join(tuned, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
  expect(config.task_type).toBe('CAUSAL_LM');
  expect(config.modules_to_save ?? []).toEqual([]);

  const perplexity = async (...more: string[]): Promise<number> => {
    const out = await succeeds('eval', '--model', model, '--data', pairs, '--json', ...more);
    return (JSON.parse(out) as { perplexity: number }).perplexity;
  };
  const [before, after] = [await perplexity(), await perplexity('--adapter', tuned)];
  expect(before).toBeGreaterThan(10);
  expect(after).toBeLessThan(1.5);

  const prompts = join(dir, 'prompts.jsonl');
  const lines = PAIRS.flatMap(([prompt]) => [{ prompt }, { prompt, adapter: null }]);
  await writeFile(prompts, lines.map((line) => JSON.stringify(line)).join('\n'));
  const answers = join(dir, 'answers.jsonl');
  const generate = ['generate', '--model', model, '--adapter', `tuned=${tuned}`, '--max-new-tokens', '20'];
  await succeeds(...generate, '--prompts', prompts, '--out', answers);
  expect(written.err).toMatch(/Prompts: \d+ tokens, .* per second; answers: \d+ tokens, .* per second/);
  const rows = (await readFile(answers, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { completion: string; finish_reason: string; adapter: string | null });
  expect(rows.filter((_, i) => i % 2 === 0)).toMatchObject(
    PAIRS.map(([prompt, completion]) => ({ prompt, completion, finish_reason: 'eos', adapter: 'tuned' })),
  );
  expect(rows.filter((_, i) => i % 2 === 1).some(({ completion }, i) => completion === PAIRS[i]![1])).toBe(false);
  expect(await succeeds(...generate, '--prompt', PAIRS[3][0])).toBe(`${PAIRS[3].join('')}\n`);

  const stop = PAIRS[3][1].slice(0, 4);
  const ended = await succeeds(...generate, '--prompt', PAIRS[3][0], '--stop', stop, '--json');
  const [{ completion, finish_reason: reason }] = (JSON.parse(ended) as { answers: [Record<string, string>] }).answers;
  expect(completion).toContain(stop);
  expect(completion!.length).toBeLessThan(PAIRS[3][1].length);
  expect(reason).toBe('stop');

  const drawn = () => succeeds(...generate, '--prompt', 'the', '--temperature', '2', '--seed', '3', '--json');
  const first = (JSON.parse(await drawn()) as { answers: unknown[] }).answers;
  expect((JSON.parse(await drawn()) as { answers: unknown[] }).answers).toEqual(first);

  expect(await light(...generate, '--prompts', pairs.replace('pairs', 'none'))).toBe(2);
  await writeFile(prompts, '{"prompt":"a","adapter":"other"}');
  expect(await light(...generate, '--prompts', prompts)).toBe(2);
  expect(written.err).toMatch(/prompts\.jsonl:1: "adapter" is "other", expected one of tuned, or null for none/);
});

it(
  'learns the answers of conversations, scores them, and gives them again with --chat',
  { timeout: 240_000 },
  async () => {
    const template = "{% for m in messages %}{{ m.content + ('</s>' if m.role == 'assistant' else ':') }}{% endfor %}";
    await writeFile(join(model, 'chat_template.jinja'), template);
    const talks = join(dir, 'talks.jsonl');
    const turns = PAIRS.map(([question, answer]) => [
      { role: 'user', content: question },
      { role: 'assistant', content: answer },
    ]);
    await writeFile(talks, turns.map((messages) => JSON.stringify({ messages })).join('\n'));
    const tuned = join(dir, 'talking');
    await succeeds('train', '--model', model, '--train', talks, '--steps', '60', '--out', tuned, ...SETTINGS);

    const scored = async (...more: string[]): Promise<{ perplexity: number; count: number }> => {
      const out = await succeeds('eval', '--model', model, '--adapter', tuned, '--data', talks, '--json', ...more);
      return JSON.parse(out) as { perplexity: number; count: number };
    };
    const [answers, all] = [await scored(), await scored('--loss-on', 'all')];
    expect(answers.perplexity).toBeLessThan(1.5);
    expect(all.perplexity).toBeGreaterThan(answers.perplexity);
    expect(all.count).toBeGreaterThan(answers.count);

    const prompts = join(dir, 'asked.jsonl');
    await writeFile(prompts, turns.map(([question]) => JSON.stringify({ messages: [question] })).join('\n'));
    const generate = ['generate', '--model', model, '--adapter', tuned, '--max-new-tokens', '20', '--chat'];
    const out = JSON.parse(await succeeds(...generate, '--prompts', prompts, '--json')) as { answers: unknown[] };
    expect(out.answers).toMatchObject(
      turns.map(([question, answer]) => ({
        messages: [question],
        completion: answer!.content,
        finish_reason: 'eos',
      })),
    );
    expect(await succeeds(...generate, '--prompt', PAIRS[0][0])).toBe(`${PAIRS[0].join('\n')}\n`);

    const predicted = join(dir, 'predicted.jsonl');
    await succeeds('predict', '--model', model, '--adapter', tuned, '--data', talks, '--out', predicted);
    expect((await readFile(predicted, 'utf8')).trim().split('\n')).toHaveLength(turns.length);

    expect(await light('generate', '--model', model, '--prompts', prompts)).toBe(2);
    expect(written.err).toMatch(/asked\.jsonl:1: found a conversation; set --chat to answer it/);
    expect(await light('generate', '--model', model, '--prompt', 'a', '--system', 'b')).toBe(2);
    expect(written.err).toMatch(/--system: found without --chat/);
  },
);

it(
  'prunes a language model by plain text, compares perplexities, and generates with what is left',
  { timeout: 240_000 },
  async () => {
    const text = join(dir, 'text.txt');
    await writeFile(text, PAIRS.map((pair) => pair.join('')).join('.\n'));
    const out = join(dir, 'run');
    const short = ['--steps', '4', '--estimate-steps', '2', '--heads-ratio', '0.5', '--seed', '0'];
    const run = [
      'run',
      '--model',
      model,
      '--train',
      text,
      '--eval',
      text,
      '--out',
      out,
      '--methods',
      'reference,light-peft',
    ];
    const table = await succeeds(...run, ...SETTINGS, ...short);
    expect(table).toMatch(/perplexity/);
    expect(table).not.toMatch(/accuracy/);
    const path = join(out, 'comparison.json');
    const { runs } = parseComparison(JSON.parse(await readFile(path, 'utf8')), path);
    for (const { metrics } of runs) expect(metrics.perplexity).toBeCloseTo(Math.exp(metrics.loss), 4);
    expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('Perplexity');
    const adapter = join(out, 'light-peft', 'seed-0', 'adapter');
    const plan = JSON.parse(await readFile(join(adapter, 'plan.json'), 'utf8')) as { layers: { heads: number[] }[] };
    expect(plan.layers.map(({ heads }) => heads.length)).toEqual([2, 2]);
    const generate = [
      'generate',
      '--model',
      model,
      '--adapter',
      adapter,
      '--prompt',
      'the sky',
      '--max-new-tokens',
      '4',
    ];
    expect(await succeeds(...generate)).toMatch(/^the sky/);
  },
);
