/** Room: bench. Starts Node processes at the priority that this process began with, one at a time. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { UserError } from '../engine/errors.ts';

/** What to start. */
export interface Launch {
  readonly args: readonly string[];
  readonly cwd: string;
  /** Added to the environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Seconds until it is ended. */
  readonly patience: number;
}

interface Finished {
  readonly stdout: string;
  /** Seconds until it reported a training step. */
  readonly firstStep: number | null;
}

export type Outcome = Finished | { readonly failure: string };

export class Launcher {
  readonly #child: ChildProcess;

  /** To be made before an engine is opened: that lowers the thread's priority, which children inherit. */
  constructor() {
    this.#child = fork(join(import.meta.dirname, 'children', 'launch.ts'), { execArgv: ['--import', 'tsx'] });
  }

  /** @throws UserError where the process fails or takes longer than it may */
  async run(launch: Launch): Promise<Finished> {
    this.#child.send(launch);
    const [outcome] = (await once(this.#child, 'message')) as [Outcome];
    if ('failure' in outcome) throw new UserError(`node ${launch.args.join(' ')}: ${outcome.failure}`);
    return outcome;
  }

  close(): void {
    this.#child.kill();
  }
}
