/** Room: generate. Answers prompts one after the other: tokens, text as it comes, and how fast. */
import { join } from 'node:path';
import type { Engine } from '../engine/engine.ts';
import { option, UserError } from '../engine/errors.ts';
import { warn } from '../engine/warnings.ts';
import { exists } from '../engine/io/files.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import { loadChatFormat } from '../models/chat/chat-format.ts';
import { loadTokenizer } from '../models/tokenizer.ts';
import { hostRandom, STREAM } from '../engine/random.ts';
import { checkpointFor, type PretrainedOptions } from '../peft-model/pretrained.ts';
import type { Generated } from './generator.ts';
import { LanguageModels } from './language-models.ts';
import { generationConfig, type GenerationOverrides } from './options.ts';
import { mapInOrder } from '../data/map-in-order.ts';
import { encodePrompt, endOfTurn, type Prompt } from './prompts.ts';
import { TextStream } from './text-stream.ts';

/** What to go on from, with which adapters, and how. */
export interface GenerationRequest {
  readonly checkpoint: Checkpoint;
  /** Folders by name; prompts that name none use the first. */
  readonly adapters: ReadonlyMap<string, string>;
  readonly prompts: readonly Prompt[];
  /** Prompts are turns of conversations, as the model's chat template writes them; absent: texts to continue. */
  readonly chat?: { readonly system?: string | undefined } | undefined;
  readonly maxNewTokens: number;
  readonly overrides: GenerationOverrides;
  readonly load?: Omit<PretrainedOptions, 'head'>;
  /** Of drawing tokens. */
  readonly seed: number;
  readonly signal?: AbortSignal | undefined;
}

/** An answered prompt. */
export interface Answer {
  readonly prompt: Prompt;
  /** Null: the base alone. */
  readonly adapter: string | null;
  readonly generated: Generated;
  /** The new tokens' text; undefined without a tokenizer. */
  readonly completion: string | undefined;
}

/** What a reader of the text hears while it comes. */
export interface GenerationCallbacks {
  /** Called when a prompt's turn comes. */
  readonly onPrompt?: (prompt: Prompt) => void;
  /** Called with new text when it is certain; without a tokenizer with the tokens themselves. */
  readonly onText?: (text: string) => void;
}

/** @throws UserError as the loading of models and `encodePrompt` */
export async function* generateAll(
  engine: Engine,
  request: GenerationRequest,
  { onPrompt, onText }: GenerationCallbacks = {},
): AsyncGenerator<Answer> {
  const { adapters, prompts, maxNewTokens, overrides, load = {}, seed, signal } = request;
  const checkpoint = await checkpointFor(request.checkpoint, adapters.values());
  const { dir: modelDir, config } = checkpoint;
  const { endIds: own, stop, sampling, constraints, ignored } = await generationConfig(modelDir, config, overrides);
  if (ignored.length > 0) warn(`generation_config.json: not supported and left out: ${ignored.join(', ')}`);
  const tokenizer = (await exists(join(modelDir, 'tokenizer.json'))) ? await loadTokenizer(modelDir) : undefined;
  if (stop.length > 0 && !tokenizer)
    throw new UserError(`${modelDir}: no tokenizer.json, so no text to look for ${option('stop')} in; leave it out`);
  const format = request.chat && (await loadChatFormat(modelDir));
  const chat = request.chat && { format, system: request.chat.system };
  const encoded = await mapInOrder(prompts, (prompt) => encodePrompt(prompt, config, tokenizer, chat));
  const turnEnds = format && tokenizer ? [tokenizer.eosId, await endOfTurn(format, tokenizer)] : [];
  const endIds = new Set([...own, ...turnEnds.filter((id) => id !== undefined)]);
  const names = prompts.map((prompt) => adapterOf(prompt, adapters));
  const longest = encoded.reduce((most, { length }) => Math.max(most, length), 0);
  const capacity = Math.min(config.maxTokens, longest + maxNewTokens);
  using models = new LanguageModels(engine, { checkpoint, adapters, load, capacity });
  for (const name of names) await models.get(name);
  for (const [i, prompt] of prompts.entries()) {
    const ids = encoded[i]!;
    const text = tokenizer && new TextStream((some) => tokenizer.decode(some), [...ids]);
    const pieces: string[] = [];
    const show = (piece: string): boolean => {
      pieces.push(piece);
      if (piece === '') return false;
      onText?.(piece);
      return isStopped(pieces.join(''), piece.length, stop);
    };
    onPrompt?.(prompt);
    const generator = await models.get(names[i]);
    const generated = await generator.generate(ids, {
      maxNewTokens,
      endIds,
      constraints,
      ...(sampling && { sampling: { ...sampling, random: hostRandom(seed, STREAM.sampling, i) } }),
      signal,
      onToken: (id) => show(text ? text.push(id) : `${pieces.length > 0 ? ' ' : ''}${id}`),
    });
    if (text) show(text.flush());
    yield { prompt, adapter: names[i] ?? null, generated, completion: text && pieces.join('') };
    if (generated.finish === 'interrupted') return;
  }
}

/** Whether a text has a stop text that reaches into its last characters. */
function isStopped(text: string, last: number, stop: readonly string[]): boolean {
  return stop.some((end) => text.includes(end, Math.max(0, text.length - last - end.length + 1)));
}

/** The adapter that answers a prompt; undefined: none. @throws UserError where it names one that is not there */
function adapterOf({ at, adapter }: Prompt, adapters: ReadonlyMap<string, string>): string | undefined {
  if (adapter === undefined) return [...adapters.keys()][0];
  if (adapter === null || adapters.has(adapter)) return adapter ?? undefined;
  const names = [...adapters.keys()].join(', ');
  const expected = names === '' ? `none, as no ${option('adapter')} is given` : `one of ${names}, or null for none`;
  throw new UserError(`${at}: "adapter" is "${adapter}", expected ${expected}`);
}
