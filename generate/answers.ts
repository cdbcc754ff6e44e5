/** Room: generate. Answers of a language model to a task's questions, greedily, and their figures. */
import type { Engine } from '../engine/engine.ts';
import { squadMetrics, type SquadMetrics } from '../data/metrics.ts';
import type { GeneratedAnswers } from '../data/text/load.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import type { PretrainedOptions } from '../peft-model/pretrained.ts';
import { generateAll } from './generate.ts';

/** The end of an answer. */
const STOP = '\n';

/** What answers, and what. */
export interface AnswerRequest extends GeneratedAnswers {
  readonly checkpoint: Checkpoint;
  /** Folder of an adapter; absent: the base alone. */
  readonly adapter?: string | undefined;
  readonly load?: Omit<PretrainedOptions, 'head'>;
  readonly signal?: AbortSignal | undefined;
}

/** Answers in the order of the questions. */
export interface AnswerEvaluation {
  readonly answers: readonly string[];
  readonly metrics: SquadMetrics;
  readonly seconds: number;
}

/** @throws UserError as `generateAll` */
export async function answerQuestions(engine: Engine, request: AnswerRequest): Promise<AnswerEvaluation> {
  const { checkpoint, adapter, load, signal, questions, maxNewTokens } = request;
  const adapters = new Map(adapter === undefined ? [] : [['', adapter]]);
  const prompts = questions.map(({ at, ids }) => ({ at, ids: [...ids] }));
  const overrides = { greedy: true, stop: [STOP], repetitionPenalty: 1, minNewTokens: 0 };
  const answers: string[] = [];
  let seconds = 0;
  const all = generateAll(engine, { checkpoint, adapters, prompts, maxNewTokens, overrides, load, seed: 0, signal });
  for await (const { completion = '', generated } of all) {
    answers.push(completion.split(STOP)[0]!);
    seconds += generated.prefillSeconds + generated.decodeSeconds;
  }
  const texts = answers.map((answer, i) => ({ answer, expected: questions[i]!.expected }));
  return { answers, metrics: squadMetrics(texts), seconds };
}
