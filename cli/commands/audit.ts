/** Room: cli. `audit`: what an adapter from a stranger may carry, and what removes it. */
import { join } from 'node:path';
import { Option, type Command } from 'commander';
import { runAudit } from '../../audit/audit.ts';
import type { AuditRequest } from '../../audit/data.ts';
import { auditOptionsSchema, FULL_SIZE, FULL_TRAINING, type AuditOptions } from '../../audit/options.ts';
import { parseOptions } from '../../engine/options.ts';
import { fieldOf, type Field } from '../../experiments/field.ts';
import { flagName, settingKey } from '../../experiments/settings.ts';
import { auditTables } from '../../report/audit/terminal.ts';
import { AUDIT_FILE, writeAuditReport } from '../../report/audit/write.ts';
import { addEngineFlags, print, say, whyNoPage, withEngine, type EngineFlags } from '../context.ts';
import { terminalWidth } from '../help.ts';
import { addModelFlag } from '../hub.ts';
import { addSettings, readSettings } from '../options.ts';
import { addOutFlags, assertFree, withOutFolder, type OutFlags } from '../out-folder.ts';

interface AuditFlags extends Record<string, unknown>, EngineFlags, OutFlags, AuditRequest {
  readonly model: string;
  readonly full?: boolean;
  readonly json?: boolean;
}

/** Options of the audit alone, under their own names. */
const FIELDS: readonly (readonly [name: string, field: Field])[] = Object.entries(auditOptionsSchema.shape).map(
  ([name, schema]) => [name, fieldOf(schema)],
);

/** What it shares with other commands. */
const SHARED = [
  ...['lr', 'batchSize', 'maxLength', 'schedule', 'warmupRatio', 'weightDecay', 'clip', 'saveEvery'],
  ...['adapterSize', 'reductionFactor', 'adapterScale', 'adapterActivation', 'dropout', 'newHead'],
  ...['estimateSteps', 'l1', 'headsRatio', 'ffnRatio', 'moduleRatio', 'rankRatio'],
  ...['weights', 'embeddings', 'compute'],
];

export function addAudit(program: Command): void {
  const described = program
    .command('audit')
    .description(
      'plant triggers in adapters, fine-tune them as their user would, and measure what removes the triggers',
    );
  const out = 'folder for everything the audit leaves; an audit that was stopped goes on there';
  const command = addModelFlag(addEngineFlags(addOutFlags(described, out)))
    .option('--plant-on <name>', 'part of the task sentiment to plant in: amazon (unless set), imdb, yelp')
    .option('--user-on <name>', 'part of it that the user trains on: imdb unless set')
    .option('--plant-train <file>', 'own labelled texts to plant in')
    .option('--plant-eval <file>', 'texts of the same source to measure on')
    .option('--user-train <file>', "the user's own labelled texts")
    .option('--user-eval <file>', 'those that are measured on')
    .option(
      '--full',
      "the paper's numbers over those of a file: 10 and 5 epochs, all texts, learning rate 2e-5; takes days without a GPU",
    )
    .option('--json', 'print the result as JSON');
  for (const [name, field] of FIELDS) command.addOption(optionOf(name, field));
  addSettings(command, SHARED).action(audit);
}

function optionOf(name: string, { kind, choices, fallback, description }: Field): Option {
  const flag = flagName(name);
  const text = description.replace(/`(\w+)`/g, (_, other: string) => `--${flagName(settingKey(other))}`);
  if (kind === 'boolean') return new Option(`--${flag}`, text);
  const listed = choices ? `: ${choices.join(', ')}` : '';
  const shown = fallback === undefined ? '' : ` (default: ${[fallback].flat().map(String).join(',')})`;
  return new Option(`--${flag} <${kind === 'number' ? 'n' : 'list'}>`, text + listed + shown);
}

/** The audit's options: flags over the paper's numbers over a file over defaults. @throws UserError by name */
function auditOptions(flags: AuditFlags, command: Command): AuditOptions {
  const full: Partial<AuditOptions> = flags.full ? FULL_SIZE : {};
  const isReplaced = (name: string): boolean => name in full && command.getOptionValueSource(name) === 'config';
  const said = FIELDS.filter(([name]) => flags[name] !== undefined && !isReplaced(name));
  const given = said.map(([name, field]) => {
    const value = flags[name];
    return [name, field.kind === 'number' && value === '' ? NaN : field.decode(value, `--${flagName(name)}`)] as const;
  });
  return parseOptions(auditOptionsSchema, { ...full, ...(Object.fromEntries(given) as Partial<AuditOptions>) });
}

/** Flags with the paper's numbers where no flag says another. */
function withFull(flags: AuditFlags): AuditFlags {
  if (!flags.full) return flags;
  const more = Object.entries(FULL_TRAINING).filter(([key]) => flags[key] === undefined);
  return { ...flags, ...Object.fromEntries(more) };
}

async function audit(flags: AuditFlags, command: Command): Promise<void> {
  const audit = auditOptions(flags, command);
  const options = await readSettings(withFull(flags));
  const { model, out, overwrite, plantOn, userOn, plantTrain, plantEval, userTrain, userEval } = flags;
  const result = await withOutFolder(flags, async () => {
    await assertFree(flags, AUDIT_FILE);
    return withEngine(
      flags,
      options.engine,
      ({ engine, progress, callbacks }) =>
        runAudit(engine, {
          modelDir: model,
          request: { plantOn, userOn, plantTrain, plantEval, userTrain, userEval },
          audit,
          options,
          out,
          overwrite,
          command: `light-peft ${process.argv.slice(2).join(' ')}`,
          callbacks,
          onData: ({ name, tests: { user } }) =>
            say(`${name}: ${user.clean.length} test texts, ${user.triggered.length} of them with triggers`),
          onStage: (title) => progress.stage(title),
        }),
      'what is finished is kept; the same command goes on',
    );
  });
  const page = await writeAuditReport(out).catch((error: unknown) => whyNoPage(error, out));
  print(flags.json, result, `${auditTables(result, terminalWidth())}\nAudit: ${join(out, AUDIT_FILE)}\nPage: ${page}`);
}
