/** Room: cli. `run`: the three stages and the comparison; `report`: its page. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { UserError } from '../../engine/errors.ts';
import { exists } from '../../engine/io/files.ts';
import { ESTIMATION, labelsOf, METHODS, type MethodName } from '../../experiments/runner.ts';
import { runExperiments } from '../../experiments/run.ts';
import { terminalTable } from '../../report/terminal.ts';
import { AUDIT_FILE, writeAuditReport } from '../../report/audit/write.ts';
import { SWEEP_FILE, writeSweepReport } from '../../report/sweep/write.ts';
import { writeReport } from '../../report/write.ts';
import type { RunLabel } from '../../train/logs/log.ts';
import { checkEvaluationOptions } from '../../train/evaluation-plan.ts';
import { addEngineFlags, print, whyNoPage, withEngine, type EngineFlags } from '../context.ts';
import { addDataFlags, sayCounts, withData, type DataFlags } from '../data-flags.ts';
import { terminalWidth } from '../help.ts';
import { addLogFlags, openLogs, type LogFlags } from '../logs.ts';
import { addSettings, readSettings } from '../options.ts';
import { addPauseFlag, checkPause, pausing, type PauseFlag } from '../pause.ts';
import { addOutFlags, assertFree, isClaimed, withOutFolder, type OutFlags } from '../out-folder.ts';

interface RunFlags extends DataFlags, EngineFlags, LogFlags, OutFlags, PauseFlag {
  readonly methods: string;
  readonly seeds?: string;
  readonly estimate?: string;
}

export function addRun(program: Command): void {
  const described = program
    .command('run')
    .description('estimate, prune, fine-tune, and compare with PEFT without pruning and with random pruning');
  const out = 'folder for everything the run leaves; a run that was stopped goes on there';
  const command = addOutFlags(described, out)
    .option('--methods <list>', `of ${METHODS.join(', ')}, or all`, 'reference,light-peft,random')
    .option('--seeds <list>', 'seeds, separated by commas (default: --seed)')
    .option(
      '--estimate <dir>',
      'estimation that `estimate` wrote, to prune by in place of one of its own; for one seed',
    );
  addPauseFlag(command);
  addSettings(addLogFlags(addEngineFlags(addDataFlags(command)))).action(run);
}

async function run(flags: RunFlags): Promise<void> {
  const options = await readSettings(flags);
  checkEvaluationOptions(options.train);
  checkPause(flags, options);
  const methods = parseMethods(flags.methods);
  const seeds = flags.seeds === undefined ? [options.train.seed] : flags.seeds.split(',').map(parseSeed);
  if (
    flags.task === undefined &&
    flags.dataset === undefined &&
    flags.eval === undefined &&
    options.data.selectionSplit === undefined
  )
    throw new UserError(
      '--eval: missing, a comparison needs data to evaluate on; or --selection-split sets some apart',
    );
  const { model, out, estimate } = flags;
  if (estimate !== undefined && seeds.length > 1)
    throw new UserError('--estimate: is of one seed, found several; leave it out, or run them one by one');
  const comparison = await withOutFolder(flags, async () => {
    await assertFree(flags, 'comparison.json');
    const labels = labelsOf(methods, seeds, options.peft.method);
    // A teacher that is not among the methods is run too.
    const isAsked = ({ method, seed }: RunLabel): boolean =>
      labels.some((label) => label.method === method && label.seed === seed);
    const logs = await openLogs(flags, await isClaimed(out), labels);
    return withData(flags, options.data, (request) =>
      withEngine(
        flags,
        options.engine,
        ({ engine, progress, callbacks, pause }) =>
          runExperiments(engine, {
            modelDir: model,
            tasks: [{ request, options }],
            methods,
            seeds,
            out,
            overwrite: flags.overwrite,
            estimation: estimate,
            command: `light-peft ${process.argv.slice(2).join(' ')}`,
            callbacks,
            logs: (label) =>
              isAsked(label) ? [...logs(label), ...(label.method === ESTIMATION ? [] : [pausing(flags, pause)])] : [],
            onData: sayCounts,
            onStage: (title) => progress.stage(title),
            onForecast: (seconds, pieces) => progress.forecast(seconds, pieces),
          }),
        'what is finished is kept; the same command goes on',
      ),
    );
  });
  const page = await writeReport(out).catch((error: unknown) => whyNoPage(error, out));
  print(
    flags.json,
    comparison,
    `${terminalTable(comparison, terminalWidth())}\nComparison: ${join(out, 'comparison.json')}\nPage: ${page}`,
  );
}

function parseMethods(list: string): MethodName[] {
  if (list === 'all') return [...METHODS];
  return list.split(',').map((name) => {
    const method = METHODS.find((m) => m === name.trim());
    if (method) return method;
    throw new UserError(`--methods: found "${name}", expected some of ${METHODS.join(', ')}, or all`);
  });
}

function parseSeed(text: string): number {
  const seed = Number(text);
  if (Number.isInteger(seed) && seed >= 0 && text.trim() !== '') return seed;
  throw new UserError(`--seeds: found "${text}", expected integers from 0, separated by commas`);
}

export function addReport(program: Command): void {
  program
    .command('report')
    .description('write the comparison of a run, an audit or a sweep as one self-contained HTML page')
    .argument('<dir>', 'folder of a run, with comparison.json, of an audit, with audit.json, or of a sweep')
    .action(async (dir: string) => {
      const has = (file: string): Promise<boolean> => exists(join(dir, file));
      const isOther = !(await has('comparison.json'));
      const write =
        isOther && (await has(AUDIT_FILE))
          ? writeAuditReport
          : isOther && (await has(SWEEP_FILE))
            ? writeSweepReport
            : writeReport;
      print(false, undefined, await write(dir));
    });
}
