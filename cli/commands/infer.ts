/** Room: cli. `eval` and `predict`: a base with or without an adapter, on data. */
import type { Command } from 'commander';
import { UserError } from '../../engine/errors.ts';
import { writeFileAtomic } from '../../engine/io/files.ts';
import { loadArtefact } from '../../train/artefact.ts';
import { loadData, loadRows } from '../../train/data/source.ts';
import { evaluate } from '../../train/stages.ts';
import { addEngineFlags, print, withEngine, type EngineFlags } from '../context.ts';
import { addDataFlags, requestOf, type DataFlags } from '../data-flags.ts';
import { addSettings, readSettings } from '../options.ts';

const SETTINGS = ['maxLength', 'weights', 'compute', 'evalSplit'] as const;

export function addEval(program: Command): void {
  const command = addEngineFlags(
    addDataFlags(program.command('eval').description('accuracy, F1 and loss on labelled data')),
  );
  addSettings(command.option('--adapter <dir>', 'PEFT folder, pruned or not'), SETTINGS).action(runEval);
}

async function runEval(flags: DataFlags & EngineFlags & { readonly adapter?: string }): Promise<void> {
  const settings = await readSettings(flags);
  const result = await withEngine(flags, settings, async ({ engine }) => {
    const model = await loadArtefact(engine, flags.model, flags.adapter, settings);
    const data = await loadData(requestOf(flags), flags.model, model.base.config, settings, model.labels);
    if (data.eval.length === 0) throw new UserError('--eval: missing, there is no data to evaluate on');
    const { metrics, inference } = await evaluate(engine, model, data.eval, settings);
    return { ...metrics, examplesPerSecond: inference.examples / inference.seconds, peakBytes: inference.peakBytes };
  });
  const percent = (value: number): string => `${(100 * value).toFixed(2)} %`;
  const scores = `Accuracy ${percent(result.accuracy)}, F1 ${percent(result.f1)}, loss ${result.loss.toFixed(4)}`;
  print(flags.json, result, `${scores}\n${result.count} examples, ${Math.round(result.examplesPerSecond)} per second`);
}

interface PredictFlags extends Record<string, unknown>, EngineFlags {
  readonly model: string;
  readonly adapter?: string;
  readonly data: string;
  readonly out: string;
}

export function addPredict(program: Command): void {
  const command = program
    .command('predict')
    .description('write one line {"logits":[…]} per example, in input order')
    .requiredOption('--model <dir>', 'base checkpoint, a Hugging Face folder')
    .option('--adapter <dir>', 'PEFT folder, pruned or not')
    .requiredOption('--data <file>', 'examples: JSONL, CSV or TSV; labels are not needed')
    .requiredOption('--out <file>', 'JSONL file to write');
  addSettings(addEngineFlags(command), SETTINGS).action(runPredict);
}

async function runPredict(flags: PredictFlags): Promise<void> {
  const settings = await readSettings(flags);
  const count = await withEngine(flags, settings, async ({ engine }) => {
    const model = await loadArtefact(engine, flags.model, flags.adapter, settings);
    const examples = await loadRows(flags.data, flags.model, model.base.config, settings.maxLength, model.labels);
    const { inference } = await evaluate(engine, model, examples, settings);
    const classes = model.labels.length;
    const lines = examples.map(
      (_, i) => `${JSON.stringify({ logits: [...inference.logits.subarray(i * classes, (i + 1) * classes)] })}\n`,
    );
    await writeFileAtomic(flags.out, lines.join(''));
    return lines.length;
  });
  print(false, undefined, `${count} predictions: ${flags.out}`);
}
