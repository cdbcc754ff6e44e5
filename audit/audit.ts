/**
 * Room: audit. What an adapter from a stranger may carry, and what removes it: an experiment after Gu et al. 2023 (docs/audit.md), read as a
 * study of defences. Triggers are planted in one source's texts, the adapter is fine-tuned as its user would, and after every step it is
 * measured how accurate it is, and how many texts with triggers it gives the planted class. This file goes through forms, strategies and seeds;
 * `stages.ts` has the steps that train, `maps.ts` looks inside, `defences.ts` measures what the user can do, `store.ts` keeps each step on
 * disk. Adapters with planted triggers are written into the audit's folder alone, and are marked.
 *
 * It imports experiments (options of all rooms), report (the format of what is measured), train, peft-model and the rooms below.
 * It may not know of flags or terminals.
 */
import { join } from 'node:path';
import { provenance } from '../experiments/provenance.ts';
import { assertOptionsFit, type RunOptions } from '../experiments/options.ts';
import type { Engine } from '../engine/engine.ts';
import { writeJson } from '../engine/io/files.ts';
import { makeFolder } from '../engine/io/make-folder.ts';
import { loadModel } from '../models/checkpoint.ts';
import { loadTokenizer } from '../models/tokenizer.ts';
import type { Audit, AuditRun, DefenceResult } from '../report/audit/schema.ts';
import { AUDIT_FILE } from '../report/audit/write.ts';
import { factsOf } from '../train/identity.ts';
import { AuditData, loadSources, type AuditRequest } from './data.ts';
import { defenceStage } from './defences.ts';
import { mapStage } from './maps.ts';
import type { AuditOptions } from './options.ts';
import { trainingFacts, type AuditSetting, type RunKey } from './setting.ts';
import { plantStage, userStage } from './stages.ts';
import { StageStore } from './store.ts';

/** What an audit is of, and where it goes. */
export interface AuditPlan extends Pick<AuditSetting, 'callbacks' | 'onStage'> {
  readonly modelDir: string;
  readonly request: AuditRequest;
  readonly audit: AuditOptions;
  readonly options: RunOptions;
  readonly out: string;
  /** Does steps of other settings again, in place of refusing. */
  readonly overwrite?: boolean | undefined;
  /** Hears of the texts. */
  readonly onData?: ((data: AuditData) => void) | undefined;
  /** What a reader types to get the same. */
  readonly command: string;
}

/** Tokens of the longest sequence, where nothing is said. */
const MAX_LENGTH = 64;

/** Does what is not there yet, and writes `audit.json` into `out`. @throws UserError for texts, triggers and options that do not fit */
export async function runAudit(engine: Engine, plan: AuditPlan): Promise<Audit> {
  const { modelDir, request, audit, options, out, overwrite = false, callbacks, onStage } = plan;
  assertOptionsFit(options);
  await makeFolder(out);
  const checkpoint = await loadModel(modelDir, options.load);
  const sources = await loadSources(checkpoint, request);
  const maxLength = Math.min(options.data.maxLength ?? MAX_LENGTH, checkpoint.config.maxTokens);
  const { vocabSize } = checkpoint.config;
  const data = await AuditData.create(
    sources,
    { tokenizer: await loadTokenizer(modelDir), vocabSize, maxLength },
    audit,
  );
  plan.onData?.(data);
  const base = await checkpoint.fingerprint();
  const facts = { ...trainingFacts(options), maxLength, base };
  const store = new StageStore(out, overwrite);
  const setting = { engine, checkpoint, data, store, audit, options, facts, callbacks, onStage };
  const runs: AuditRun[] = [];
  for (const key of keysOf(audit)) runs.push(await runOf(setting, key));
  const seedData = data.of(audit.seeds[0]!);
  const written: Audit = {
    format: 'light-peft/audit',
    version: 1,
    meta: await provenance(engine, checkpoint, plan.command),
    name: data.name,
    labels: [...data.labels],
    target: data.target,
    texts: {
      clean: seedData.clean.length,
      planted: seedData.planted.length,
      user: seedData.user.length,
      test: data.tests.user.clean.length,
      triggered: data.tests.user.triggered.length,
    },
    options: shownOptions(options, audit, maxLength),
    runs,
  };
  await writeJson(join(out, AUDIT_FILE), written);
  return written;
}

/** What a reader of the figures wants to know. */
function shownOptions(
  { peft, train, estimate, decide }: RunOptions,
  audit: AuditOptions,
  maxLength: number,
): Audit['options'] {
  const { adapterSize, reductionFactor, dropout } = peft;
  const { lr, batchSize, schedule, warmupRatio, weightDecay, maxGradNorm } = train;
  const { heads, neurons, modules, ranks } = decide;
  const sizes = { adapterSize, reductionFactor, dropout, maxLength };
  const training = { lr, batchSize, schedule, warmupRatio, weightDecay, maxGradNorm };
  return factsOf({
    ...sizes,
    ...training,
    heads,
    neurons,
    modules,
    ranks,
    estimateSteps: estimate.estimateSteps,
    ...audit,
  });
}

/** Seeds one after the other, so that an audit that was stopped has all strategies of the first. */
function keysOf({ forms, strategies, seeds }: AuditOptions): RunKey[] {
  return seeds.flatMap((seed) => forms.flatMap((form) => strategies.map((strategy) => ({ form, strategy, seed }))));
}

async function runOf(shared: AuditSetting, key: RunKey): Promise<AuditRun> {
  const { audit, facts, data } = shared;
  const setting = { ...shared, facts: { ...facts, content: data.contentOf(key.seed) } };
  const planted = await plantStage(setting, key);
  const user = await userStage(setting, key, planted);
  const isMapped = !audit.skipMaps && key.seed === audit.seeds[0] && key.strategy !== 'clean';
  const maps = isMapped && {
    planted: await mapStage(setting, key, planted, 'planted'),
    user: await mapStage(setting, key, user, 'user'),
  };
  const defences: Record<string, DefenceResult> = {};
  if (audit.defended.includes(key.strategy))
    for (const defence of audit.defences)
      defences[defence] = await defenceStage(setting, { key, planted, user }, defence);
  return { ...key, planted: planted.result, user: user.result, ...(maps && { maps }), defences };
}
