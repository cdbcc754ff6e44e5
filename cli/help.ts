/** Room: cli. What `--help` shows, in which groups and how wide; `--help-all` shows every option. */
import { Option, type Command, type Help } from 'commander';
import { SETTINGS, type Setting } from '../experiments/settings.ts';
import { controlOptions } from '../train/gradient-control/options.ts';

const GROUPS: Readonly<Record<Setting['room'], string>> = {
  preset: 'PEFT method:',
  peft: 'PEFT method:',
  data: 'Data:',
  train: 'Training:',
  distill: 'Training:',
  load: 'Memory and precision:',
  engine: 'Memory and precision:',
  estimate: 'Estimation:',
  decide: 'Pruning:',
  slice: 'Pruning:',
};

/** Options of groups other than their room's. */
const OTHER_GROUPS: Readonly<Record<string, string>> = {
  activations: 'Memory and precision:',
  gradientCheckpointing: 'Memory and precision:',
  profile: 'Kernels:',
  dumpKernels: 'Kernels:',
  tune: 'Kernels:',
  estimate: 'Estimation:',
  pauseAfter: 'Training:',
  logJsonl: 'Training:',
  logCsv: 'Training:',
  logTensorboard: 'Training:',
  taskHeads: 'Several tasks:',
  taskMix: 'Several tasks:',
  ...Object.fromEntries(Object.keys(controlOptions).map((key) => [key, 'Several tasks:'])),
  revision: 'Hub:',
  dataset: 'Hub:',
  datasetConfig: 'Hub:',
  datasetSplit: 'Hub:',
};

const PEFT = ['preset', 'peft', 'targetModules', 'loraR', 'loraAlpha', 'dropout'];
const STEPS = ['maxLength', 'lr', 'batchSize', 'seed'];
const LOGS = ['logJsonl', 'logCsv', 'logTensorboard'];
const RATIOS = ['headsRatio', 'ffnRatio', 'moduleRatio', 'rankRatio'];

/** Settings that `--help` of a command shows. The others are rare, or of other stages. */
const SHOWN: Readonly<Record<string, readonly string[]>> = {
  run: [...PEFT, ...STEPS, 'epochs', 'steps', 'estimateSteps', ...RATIOS],
  estimate: [...PEFT, ...STEPS, 'estimateSteps', 'l1'],
  prune: ['estimate', 'preset', ...RATIOS, 'importance', 'seed'],
  train: [...PEFT, ...STEPS, 'epochs', 'steps', 'saveEvery', ...LOGS],
  eval: ['maxLength', 'weights'],
  predict: ['maxLength', 'weights'],
  generate: ['seed', 'weights'],
};

/** Columns of the options' names; longer ones stand on a line of their own. */
const NAMES = 26;
const INDENT = 2;
/** Columns below which descriptions are not wrapped. */
const LEAST = 20;

/** Groups the options of every command, hides the rare ones, and adds `--help-all`. */
export function arrangeHelp(program: Command): void {
  for (const command of program.commands) {
    const shown = SHOWN[command.name()];
    if (shown) for (const option of command.options) arrange(option, shown);
    addHelpAll(command);
  }
}

function arrange(option: Option, shown: readonly string[]): void {
  const key = option.attributeName();
  const setting = SETTINGS.get(key);
  const group = OTHER_GROUPS[key] ?? (setting && GROUPS[setting.room]);
  if (group === undefined) return;
  option.helpGroup(group);
  option.hideHelp(!shown.includes(key));
}

function addHelpAll(command: Command): void {
  const isWhole = command.options.every((option) => !option.hidden);
  command.addOption(new Option('--help-all', 'display every option, the rare ones too').hideHelp(isWhole));
  command.on('option:help-all', () => {
    for (const option of command.options) option.hidden = false;
    command.help();
  });
}

/** Columns of the terminal; of a pipe, those that the environment says, else 80. */
export function terminalWidth(): number {
  return process.stdout.columns || Number(process.env.COLUMNS) || 80;
}

const NO_DEFAULT = ' (default: [])';

/** Names in a narrow column, descriptions wrapped beside them. */
export const HELP_FORMAT: Partial<Help> = {
  minWidthToWrap: LEAST,
  padWidth: () => Math.min(NAMES, Math.floor(terminalWidth() / 3)),
  formatItem(term, width, description, helper) {
    const indent = ' '.repeat(INDENT);
    if (!description) return indent + term;
    const left = INDENT + width + INDENT;
    const lines = helper
      .boxWrap(description.replace(NO_DEFAULT, ''), Math.max(terminalWidth() - left, LEAST))
      .split('\n');
    const isShort = term.length <= width;
    const first = isShort ? `${indent}${term.padEnd(width)}${indent}${lines.shift()}` : indent + term;
    return [first, ...lines.map((line) => ' '.repeat(left) + line)].join('\n');
  },
};
