/**
 * Room: scripts/paper. `npx tsx scripts/paper/compare-scores.ts --model DIR --data-dir DIR --task sst2`: heads and neurons chosen by every importance score from
 * one estimation, tried softly, by masks of 0, on a part of the training data; with `--heads` every head is left out alone as well. Says which scores are
 * worth fine-tuning; writes `bench/paper/scores/TASK/ESTIMATION.json`. An `--estimation` of the table other than the usual one tries two scores alone.
 */
import { dirname, join } from 'node:path';
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
import { estimate } from '../../train/estimate.ts';
import { plainText } from '../../sweep/spec.ts';
import { SCORES, type TriedHead, type TriedScore } from '../../report/paper/schema.ts';
import { readTable, scoresPath } from './table.ts';
import { tryAll, tryHeads, tryTwo } from './try-scores.ts';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    'data-dir': { type: 'string' },
    task: { type: 'string', default: 'sst2' },
    estimation: { type: 'string', default: 'usual' },
    lr: { type: 'string', default: '1e-3' },
    seeds: { type: 'string', default: '100' },
    rows: { type: 'string', default: '800' },
    heads: { type: 'boolean', default: false },
  },
});
const { model: modelDir, 'data-dir': dataDir, task, estimation, lr } = values;
if (modelDir === undefined || dataDir === undefined)
  throw new UserError('compare-scores: expected --model and --data-dir');
const { common, tasks, estimations, 'learning-rates': rates } = await readTable();
const [kind, variant] = [tasks[task], estimations[estimation]];
if (!kind || !variant)
  throw new UserError(
    `compare-scores: found --task ${task} --estimation ${estimation}, expected those of bench/paper/table.yaml`,
  );
const { task: name, ...settings } = { ...common, ...kind.options, ...variant.options };
const rows: TriedScore[] = [];
const heads: TriedHead[] = [];
using engine = await Engine.open();
const checkpoint = await loadModel(modelDir);
for (const seed of values.seeds.split(',').map(Number)) {
  const more = {
    ...settings,
    lr: Number(lr),
    seed,
    'selection-split': rates['selection-split'],
    'max-eval-examples': Number(values.rows),
  };
  const given = new Map(Object.entries(more).map(([flag, value]): [string, unknown] => [camelCase(flag), value]));
  const options = parseSettings(given, (key) => key);
  const request = { task: plainText(name), dataDir: join(dataDir, kind.folder ?? '') };
  const data = await loadData(checkpoint, request, options.data);
  using model = await getPeftModel(engine, checkpoint, peftConfig(options.peft), { ...data, seed });
  const scores = await estimate(model, data.train, estimateOptionsOf(options));
  const tried = { engine, model, data, scores, seed };
  await (estimation === 'usual' ? tryAll : tryTwo)(tried, (row) => {
    rows.push(row);
    const { importance, headsScope, ratio, accuracy, loss } = row;
    process.stdout.write(
      `${importance} ${headsScope} ${ratio.toFixed(2)}: ${(100 * accuracy).toFixed(1)} ${loss.toFixed(3)}\n`,
    );
  });
  if (values.heads) await tryHeads(tried, (head) => heads.push(head));
}
const path = scoresPath(task, estimation);
await makeFolder(dirname(path));
const flags = Object.entries({ task, estimation, lr, seeds: values.seeds, rows: values.rows }).map(
  ([flag, value]) => ` --${flag} ${value}`,
);
const command = `npx tsx scripts/paper/compare-scores.ts --model DIR --data-dir DIR${flags.join('')}${values.heads ? ' --heads' : ''}`;
const { model: _, ...origin } = await provenance(engine, checkpoint, command);
await writeVersioned(path, SCORES, {
  ...{ task, estimation, examples: Number(values.rows), steps: Number(settings['estimate-steps']), rows, heads },
  ...origin,
});
