/** Room: cli. `setup`: a driver where this machine has no WebGPU adapter, and the commands that install optional packages. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { taskPackage, BUILT_IN_NAMES } from '../../data/tasks/built-in.ts';
import { NoAdapterError, openDevice } from '../../engine/device/device.ts';
import { UserError } from '../../engine/errors.ts';
import { installCommand, missingPackages } from '../../engine/io/packages.ts';
import { PRETRAIN_PACKAGES } from '../../pretrain/packages.ts';
import { CHART_PACKAGES } from '../../report/charts/render.ts';
import { QUEUE_PACKAGES } from '../../sweep/redis/connection.ts';

/** What the optional packages are for. */
const FEATURES: readonly (readonly [feature: string, packages: readonly string[]])[] = [
  ['the pictures of report.html', CHART_PACKAGES],
  ...BUILT_IN_NAMES.map((name) => [`--task ${name}`, [taskPackage(name)]] as const),
  ['sweeps over a queue, and `worker`', QUEUE_PACKAGES],
  ['`pretrain`', [...PRETRAIN_PACKAGES, ...BUILT_IN_NAMES.map(taskPackage)]],
];

export function addSetup(program: Command): void {
  program
    .command('setup')
    .description('look for a WebGPU adapter, and install a software driver where there is none (Debian, Ubuntu)')
    .option('--check', 'only print the adapter; exit code 2: there is none')
    .action(runSetup);
}

async function runSetup({ check }: { readonly check?: boolean }): Promise<void> {
  if (check) {
    console.log(await findAdapter());
    return;
  }
  const adapter = await findAdapter().catch((error: unknown) => {
    if (!(error instanceof NoAdapterError)) throw error;
  });
  if (adapter === undefined) installDriver();
  else console.log(`setup: WebGPU adapter: ${adapter}`);
  for (const [feature, packages] of FEATURES) {
    const missing = missingPackages(packages);
    if (missing.length > 0) console.log(`setup: for ${feature}: ${installCommand(missing)}`);
  }
}

/** The adapter that the engine would use, in one line. @throws NoAdapterError where there is none */
async function findAdapter(): Promise<string> {
  const open = await openDevice();
  open.close();
  const { description, software } = open.adapter;
  return software ? `${description} (software)` : description;
}

/** @throws UserError where it could not; the script has said why */
function installDriver(): void {
  const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
  const find = [process.execPath, path('bin/light-peft.js'), 'setup', '--check'];
  const { status, error } = spawnSync('bash', [path('scripts/driver.sh'), ...find], { stdio: 'inherit' });
  if (error) throw new UserError(`${new NoAdapterError().message} (bash, which installs it: ${error.message})`);
  if (status !== 0) throw new UserError('setup stopped; the lines above say what to do');
}
