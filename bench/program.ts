/** Room: bench. The benchmark command as a function of its arguments. */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { parse } from 'yaml';
import { UserError } from '../engine/errors.ts';
import { phraseFor } from '../engine/expectation.ts';
import { camelCase, SETTINGS } from '../experiments/settings.ts';
import type { OptionChanges } from './encoder/model.ts';
import { PEERS, type PeerName } from './peers/peer.ts';
import { runSuites, type RunOptions } from './runner.ts';
import { SUITES } from './suites.ts';

const PEER_NAMES = Object.keys(PEERS) as PeerName[];

/**
 * Runs the command.
 * @param argv arguments after the program's name
 * @returns the exit code: 0, 2 for bad input, 1 where something could not be measured and for anything unforeseen
 */
export async function runBench(argv: readonly string[]): Promise<number> {
  const program = command().exitOverride();
  let code = 0;
  program.action(async (suite: string, flags: Flags) => {
    const whole = await runSuites(suitesOf(suite), { ...flags, command: `npm run bench -- ${argv.join(' ')}` });
    code = whole ? 0 : 1;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const known = error instanceof UserError;
    process.stderr.write(`bench: ${known ? error.message : String((error as Error).stack)}\n`);
    return known ? error.exitCode : 1;
  }
}

type Flags = Omit<RunOptions, 'command'>;

function command(): Command {
  const names = SUITES.map((s) => `  ${s.name.padEnd(11)} ${s.summary}`).join('\n');
  return new Command('bench')
    .description('Measures the engine on this machine’s adapter, beside other libraries where they are installed.')
    .argument('<suite>', `one of ${SUITES.map((s) => s.name).join(', ')}, or all`)
    .option('--quick', 'small sizes and few repetitions, to try the command', false)
    .option('--out <dir>', 'folder for SUITE.json and SUITE.html', 'out/bench')
    .option('--json', 'print the JSON instead of tables', false)
    .option('--repeats <n>', 'timings of each case at most (default: 9, quick: 3)', parseCount)
    .option('--peers <list>', `of ${PEER_NAMES.join(', ')}; all or none`, parsePeers, PEER_NAMES)
    .option('--against <file>', 'JSON of an earlier run on the same adapter to compare with')
    .option('--markdown <file>', 'write what is in --out as one Markdown document')
    .option('--remarks <file>', 'hand-written sections for that document, by suite', 'bench/remarks.md')
    .option('--resume', 'go on with a run that was interrupted: keep the parts that --out has', false)
    .option('--set <key=value>', 'a setting of `light-peft run` for the suite light-peft; may be repeated', collect, {})
    .addHelpText('after', `\nSuites:\n${names}`);
}

function suitesOf(name: string): typeof SUITES {
  if (name === 'all') return SUITES;
  const suite = SUITES.find((s) => s.name === name);
  if (suite) return [suite];
  throw new UserError(`suite: found "${name}", expected one of ${SUITES.map((s) => s.name).join(', ')}, or all`);
}

function parseCount(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('expected a whole number above 0');
}

function parsePeers(text: string): PeerName[] {
  if (text === 'all') return PEER_NAMES;
  if (text === 'none') return [];
  return text.split(',').map((name) => {
    const peer = PEER_NAMES.find((p) => p === name.trim());
    if (peer === undefined) throw new InvalidArgumentError(`no peer "${name}"`);
    return peer;
  });
}

/** `loraR=4` or `lora-r=4`: keys and values of a run's YAML file. */
function collect(text: string, before: OptionChanges): OptionChanges {
  const [key = '', ...rest] = text.split('=');
  const setting = SETTINGS.get(camelCase(key.trim()));
  if (!setting || rest.length === 0)
    throw new InvalidArgumentError(`expected key=value, a key being one of ${[...SETTINGS.keys()].join(', ')}`);
  const { room, name, schema, decode } = setting;
  const parsed = schema.safeParse(decode(parse(rest.join('=')), key), { error: phraseFor(schema) });
  if (!parsed.success) throw new InvalidArgumentError(parsed.error.issues[0]!.message);
  return { ...before, [room]: { ...before[room], [name]: parsed.data } };
}
