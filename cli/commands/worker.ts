/** Room: cli. `worker`: takes trials of sweeps from a queue, on as many machines as there are. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Option, type Command } from 'commander';
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { adapterName } from '../../experiments/provenance.ts';
import { runChild } from '../../sweep/child.ts';
import { connect, parseAddress } from '../../sweep/redis/connection.ts';
import { TrialWorker } from '../../sweep/redis/worker.ts';
import { say } from '../context.ts';
import { parseNumber } from '../options.ts';
import { Interruption } from '../signals.ts';
import { addQueueFlags, QUEUE_VARIABLE } from '../sweep-flags.ts';
import { factsReader } from '../sweep-run.ts';

interface WorkerFlags {
  readonly queue?: string;
  readonly storage?: string;
  readonly lockDuration?: number;
}

export function addWorker(program: Command): void {
  const command = program
    .command('worker')
    .description(
      'take trials of sweeps from a queue, one at a time; SIGTERM saves the one under way and hands it back',
    );
  addQueueFlags(command)
    .addOption(
      new Option(
        '--lock-duration <seconds>',
        'silence after which a trial goes to another worker (default: by the time of a step, at least 5)',
      ).argParser((text) => parseNumber(text, '--lock-duration')),
    )
    .action(work);
}

async function work({ queue = process.env[QUEUE_VARIABLE], storage = '.', lockDuration }: WorkerFlags): Promise<void> {
  if (queue === undefined) throw new UserError('--queue: missing, the URL of the queue');
  if (lockDuration !== undefined && lockDuration < 1)
    throw new UserError(`--lock-duration: found ${lockDuration}, expected seconds, at least 1`);
  process.chdir(storage);
  using interruption = new Interruption('a trial under way goes to another worker');
  const { signal } = interruption;
  signal.addEventListener('abort', () => undefined);
  const address = parseAddress(queue);
  const adapter = await ownAdapter(signal);
  const connected = await connect(address, say);
  const worker = new TrialWorker(connected, {
    address,
    adapter,
    storage: process.cwd(),
    factsOf: factsReader(),
    say,
    ...(lockDuration !== undefined && { lockDuration: lockDuration * 1000 }),
  });
  say(`worker ${process.pid} takes trials from ${address.shown} on ${adapter}`);
  await worker.run(signal);
  say('worker has ended');
}

const doctorSchema = z.object({
  adapter: z.looseObject({ device: z.string(), description: z.string() }),
  selfCheck: z.object({ passed: z.boolean() }),
});

/** Found by a process of its own: this one has no device. @throws UserError where there is none, or it computes wrong results */
async function ownAdapter(signal: AbortSignal): Promise<string> {
  const log = join(tmpdir(), `light-peft-worker-${process.pid}.log`);
  const { code, stdout, error } = await runChild(['doctor', '--json'], { cwd: process.cwd(), log, signal });
  if (code !== 0) throw new UserError(`the adapter of this machine: ${error === '' ? 'its check failed, see light-peft doctor' : error}`); // prettier-ignore
  const { adapter } = doctorSchema.parse(JSON.parse(stdout));
  return adapterName(adapter);
}
