/** Room: cli. `generate`: text from a language model, with or without adapters, streamed as it comes. */
import type { Command } from 'commander';
import { UserError } from '../../engine/errors.ts';
import { assertWritable, writeAtomically } from '../../engine/io/files.ts';
import type { OpenFile } from '../../engine/io/output.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { generateAll, type Answer, type GenerationCallbacks } from '../../generate/generate.ts';
import { readPrompts, type Prompt } from '../../generate/prompts.ts';
import { InterruptedError } from '../../train/loop.ts';
import { measure } from '../../report/numbers.ts';
import { addEngineFlags, besides, print, say, withEngine, type EngineFlags } from '../context.ts';
import { withDataFiles } from '../data-files.ts';
import { addModelFlag } from '../hub.ts';
import { namedFolders } from '../named-folders.ts';
import type { Progress } from '../progress.ts';
import { collect } from '../config-file.ts';
import { addSettings, parseNumber, readSettings } from '../options.ts';

interface GenerateFlags extends Record<string, unknown>, EngineFlags {
  readonly model: string;
  readonly adapter: readonly string[];
  readonly prompt?: string;
  readonly prompts?: string;
  readonly chat?: boolean;
  readonly system?: string;
  readonly maxNewTokens: number;
  readonly greedy?: boolean;
  readonly doSample?: boolean;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly repetitionPenalty?: number;
  readonly minNewTokens?: number;
  readonly stop?: readonly string[];
  readonly out?: string;
  readonly json?: boolean;
}

export function addGenerate(program: Command): void {
  const number = (flag: string) => (text: string) => parseNumber(text, flag);
  const command = addModelFlag(addEngineFlags(program.command('generate')))
    .description('go on from prompts with a language model; the text is shown as it comes')
    .option(
      '--adapter <[name=]dir>',
      'PEFT or AdapterHub folders, or names on the hub, pruned or not; prompts choose one by its name',
      collect,
      [],
    )
    .option('--prompt <text>', 'text to go on from')
    .option(
      '--prompts <file>',
      'JSONL of {"prompt": …}, {"messages": […]} or {"input_ids": […]}, and perhaps "adapter": a name, or null; - for standard input',
    )
    .option('--chat', 'answer prompts as turns of a conversation, written by the model’s chat template')
    .option('--system <text>', 'instructions before a conversation that has none; with --chat')
    .option('--max-new-tokens <n>', 'most tokens to add', number('--max-new-tokens'), 64)
    .option('--greedy', 'always the most likely token, whatever the model’s generation_config.json says')
    .option('--do-sample', 'draw tokens by their probability; so do the next three')
    .option('--temperature <n>', 'flattens (> 1) or sharpens (< 1) the probabilities', number('--temperature'))
    .option(
      '--top-k <n>',
      'draw among the k most likely tokens, 0 = all (default: the model’s own, else 50)',
      number('--top-k'),
    )
    .option('--top-p <n>', 'draw among the most likely tokens that make up this probability', number('--top-p'))
    .option(
      '--repetition-penalty <n>',
      'above 1: tokens that prompt or answer have already get less likely',
      number('--repetition-penalty'),
    )
    .option('--min-new-tokens <n>', 'tokens before an answer may end', number('--min-new-tokens'))
    .option('--stop <text>', 'ends an answer when it comes up in it; may be given more than once', collect)
    .option('--out <file>', 'JSONL file for the answers, in place of the terminal; - for standard output')
    .option('--json', 'print answers and speeds as JSON when all are there');
  addSettings(command, ['seed', 'weights', 'embeddings', 'compute']).action(runGenerate);
}

async function runGenerate(flags: GenerateFlags): Promise<void> {
  const { load, train, engine: opened } = await readSettings(flags);
  const { maxNewTokens, greedy, doSample, temperature, topK, topP, out, json } = flags;
  const { repetitionPenalty, minNewTokens, stop } = flags;
  if (!Number.isInteger(maxNewTokens) || maxNewTokens < 1)
    throw new UserError(`--max-new-tokens: found ${maxNewTokens}, expected an integer from 1`);
  if (minNewTokens !== undefined && minNewTokens > maxNewTokens)
    throw new UserError(`--min-new-tokens: found ${minNewTokens}, expected at most --max-new-tokens, ${maxNewTokens}`);
  if (flags.system !== undefined && !flags.chat) throw new UserError('--system: found without --chat, expected both');
  if (out !== undefined) await assertWritable(out);
  const chat = flags.chat ? { system: flags.system } : undefined;
  const prompts = await promptsOf(flags);
  const overrides = { greedy, doSample, temperature, topK, topP, repetitionPenalty, minNewTokens, stop };
  const adapters = namedFolders(flags.adapter);
  const shown = out === undefined && !json;
  await withEngine(flags, opened, async ({ engine, progress, callbacks }) => {
    progress.stage('loading');
    const checkpoint = await loadModel(flags.model);
    const { signal, onBytes } = callbacks;
    // An answer ends where the signal comes; what there is of it is shown.
    signal?.addEventListener('abort', () => undefined);
    const loading = { ...load, onBytes };
    const how = { chat, maxNewTokens, overrides, load: loading, seed: train.seed, signal };
    const request = { checkpoint, adapters, prompts, ...how };
    const all = generateAll(engine, request, shown ? terminal(progress, chat ? '\n' : '') : {});
    const answers = await (out === undefined ? collected(all) : written(all, out, prompts.length));
    if (shown) process.stdout.write('\n');
    const speed = speedOf(answers);
    if (out !== undefined)
      print(json, { answers: answers.length, speed }, `${answers.length} answers: ${out}`, await besides(out));
    else if (json) print(json, { answers: answers.map(lineOf), speed }, '');
    say(speedLine(speed));
    if (answers.at(-1)?.generated.finish === 'interrupted') throw interrupted(answers.length, prompts.length);
  });
}

async function promptsOf({ prompt, prompts }: GenerateFlags): Promise<Prompt[]> {
  if ((prompt === undefined) === (prompts === undefined))
    throw new UserError('--prompt TEXT and --prompts FILE: give one of them');
  if (prompts === undefined) return [{ at: '--prompt', text: prompt }];
  return withDataFiles({ prompts }, prompts === '-' ? 'jsonl' : undefined, (files) => readPrompts(files.prompts!));
}

/** Prompt and continuation on standard output, a blank line between two. @param between prompt and continuation */
function terminal(progress: Progress, between: string): GenerationCallbacks {
  let count = 0;
  return {
    onPrompt: (prompt) => {
      progress.finish();
      process.stdout.write(`${count++ > 0 ? '\n\n' : ''}${shownPrompt(prompt)}${between}`);
    },
    onText: (piece) => void process.stdout.write(piece),
  };
}

/** Of a conversation its last turn. */
function shownPrompt({ text, chat, ids }: Prompt): string {
  if (!chat) return text ?? `${ids?.join(' ')} `;
  const { content } = chat.messages[chat.messages.length - 1]!;
  return typeof content === 'string' ? content : JSON.stringify(content ?? '');
}

async function collected(all: AsyncIterable<Answer>): Promise<Answer[]> {
  const answers: Answer[] = [];
  for await (const answer of all) answers.push(answer);
  return answers;
}

async function written(all: AsyncIterable<Answer>, path: string, total: number): Promise<Answer[]> {
  const answers: Answer[] = [];
  const write = async (file: OpenFile): Promise<void> => {
    for await (const answer of all) {
      if (answer.generated.finish === 'interrupted') throw interrupted(answers.length, total);
      answers.push(answer);
      await file.writeFile(`${JSON.stringify(lineOf(answer))}\n`);
    }
  };
  await writeAtomically([{ path, write }]);
  return answers;
}

function interrupted(answered: number, prompts: number): InterruptedError {
  return new InterruptedError(`Interrupted in answer ${answered} of ${prompts}.`);
}

/** A line of the answers' file. */
function lineOf({ prompt: { text, chat, ids }, adapter, generated, completion }: Answer): Record<string, unknown> {
  const given = chat ? { messages: chat.messages } : text === undefined ? { input_ids: ids } : { prompt: text };
  return {
    ...given,
    ...(completion !== undefined && { completion }),
    output_ids: generated.ids,
    finish_reason: generated.finish,
    adapter,
  };
}

interface Speed {
  readonly tokens: number;
  readonly seconds: number;
  readonly tokensPerSecond: number;
}

function speedOf(answers: readonly Answer[]): Readonly<Record<'prefill' | 'decode', Speed>> {
  const sum = (pick: (answer: Answer['generated']) => number): number =>
    answers.reduce((total, { generated }) => total + pick(generated), 0);
  const speed = (tokens: number, seconds: number): Speed => ({
    tokens,
    seconds,
    tokensPerSecond: seconds > 0 ? tokens / seconds : 0,
  });
  return {
    prefill: speed(
      sum((g) => g.promptTokens),
      sum((g) => g.prefillSeconds),
    ),
    decode: speed(
      sum((g) => g.decodedTokens),
      sum((g) => g.decodeSeconds),
    ),
  };
}

function speedLine({ prefill, decode }: ReturnType<typeof speedOf>): string {
  const text = ({ tokens, tokensPerSecond }: Speed): string =>
    `${tokens} tokens, ${measure(tokensPerSecond)} per second`;
  return `Prompts: ${text(prefill)}; answers: ${text(decode)} (the first token of each counts with its prompt)`;
}
