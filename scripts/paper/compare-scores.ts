/**
 * Room: scripts/paper. `npx tsx scripts/paper/compare-scores.ts --model DIR --data-dir DIR --task sst2`: heads and neurons chosen by every importance score from
 * one estimation, tried softly, by masks of 0, on a part of the training data. Says which scores are worth fine-tuning; writes
 * `bench/paper/scores/TASK.json`.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadData } from '../../data/source.ts';
import { Engine } from '../../engine/engine.ts';
import { UserError } from '../../engine/errors.ts';
import { makeFolder } from '../../engine/io/make-folder.ts';
import { writeVersioned } from '../../engine/io/versioned.ts';
import { camelCase, parseSettings } from '../../experiments/settings.ts';
import { estimateOptionsOf } from '../../experiments/options.ts';
import { provenance } from '../../experiments/provenance.ts';
import { loadModel } from '../../models/checkpoint.ts';
import { peftConfig } from '../../peft/create-config.ts';
import { getPeftModel } from '../../peft-model/create.ts';
import type { PeftModel } from '../../peft-model/peft-model.ts';
import { decide, randomScores, type DecideOptions } from '../../pruning/decide.ts';
import { MaskedPlan } from '../../pruning/masked-plan.ts';
import { UNIT_SCORES } from '../../pruning/unit-scores.ts';
import { estimate, type Estimate } from '../../train/estimate.ts';
import { infer } from '../../train/evaluate.ts';
import { logitMetrics } from '../../data/metrics.ts';
import type { Examples } from '../../data/example-store.ts';
import { plainText } from '../../sweep/spec.ts';
import { SCORES, type TriedScore } from '../../report/paper/schema.ts';
import { readTable, scoresPath } from './table.ts';

const RATIOS = [1 / 2, 2 / 3];

/** Of heads and of neurons. */
const SCOPES = [
  ['layerwise', 'global'],
  ['global', 'global'],
] as const;

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    'data-dir': { type: 'string' },
    task: { type: 'string', default: 'sst2' },
    lr: { type: 'string', default: '1e-3' },
    seeds: { type: 'string', default: '100' },
    rows: { type: 'string', default: '1000' },
  },
});
const { model: modelDir, 'data-dir': dataDir, task } = values;
if (modelDir === undefined || dataDir === undefined)
  throw new UserError('compare-scores: expected --model and --data-dir');
const table = await readTable();
const { common, tasks } = table;
const { options: own, folder = '' } = tasks[task]!;
const { task: name, ...settings } = { ...common, ...own };
const share = table['learning-rates']['selection-split'];
const rows: TriedScore[] = [];
using engine = await Engine.open();
const checkpoint = await loadModel(modelDir);
for (const seed of values.seeds.split(',').map(Number)) {
  const more = {
    ...settings,
    lr: Number(values.lr),
    seed,
    'selection-split': share,
    'max-eval-examples': Number(values.rows),
  };
  const given = new Map(Object.entries(more).map(([flag, value]): [string, unknown] => [camelCase(flag), value]));
  const options = parseSettings(given, (key) => key);
  const data = await loadData(checkpoint, { task: plainText(name), dataDir: join(dataDir, folder) }, options.data);
  using model = await getPeftModel(engine, checkpoint, peftConfig(options.peft), { ...data, seed });
  const scores = await estimate(model, data.train, estimateOptionsOf(options));
  await tryAll(model, data.eval, scores, seed);
}
const path = scoresPath(task);
await makeFolder(join(path, '..'));
const command = `npx tsx scripts/paper/compare-scores.ts --model DIR --data-dir DIR --task ${task} --lr ${values.lr} --seeds ${values.seeds} --rows ${values.rows}`;
const { model: _, ...origin } = await provenance(engine, checkpoint, command);
await writeVersioned(path, SCORES, {
  ...{ task, examples: Number(values.rows), steps: Number(common['estimate-steps']), rows },
  ...origin,
});

/** Every score, scope and ratio, and random choices of the same sizes. */
async function tryAll(model: PeftModel, examples: Examples, scores: Estimate, seed: number): Promise<void> {
  const keep = { modules: 0, ranks: 0 };
  const add = async (
    importance: string,
    options: DecideOptions,
    of = scores as Parameters<typeof decide>[0],
  ): Promise<void> => {
    const decision = decide(of, { ...keep, ...options });
    using masked = new MaskedPlan(engine, model.base.layers, decision, model.method!.modules);
    const { logits, labels } = await infer(model, examples, masked.options(), { batchSize: 32 });
    const { accuracy, loss } = logitMetrics(logits, labels, model.labels.length);
    const { headsScope = '', neuronsScope = '', heads: ratio = 0 } = options;
    rows.push({ seed, importance, headsScope, neuronsScope, ratio, accuracy, loss });
    process.stdout.write(
      `${importance} ${headsScope} ${neuronsScope} ${ratio.toFixed(2)}: ${(100 * accuracy).toFixed(1)}\n`,
    );
  };
  await add('none', { heads: 0, neurons: 0 });
  for (const ratio of RATIOS) {
    for (const [headsScope, neuronsScope] of SCOPES)
      for (const importance of ['mask', ...UNIT_SCORES] as const)
        await add(importance, { heads: ratio, neurons: ratio, headsScope, neuronsScope, importance });
    for (const draw of [0, 1, 2])
      await add(
        'random',
        { heads: ratio, neurons: ratio, headsScope: 'layerwise', neuronsScope: 'global' },
        randomScores(scores, draw),
      );
  }
}
