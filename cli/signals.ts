/**
 * Room: cli. Signals that end a command: Ctrl-C, and SIGTERM and SIGHUP, as schedulers and terminals send them. Work that can stop and save
 * listens for it; the second signal, or one while nothing listens, ends the process at once.
 */
import { getEventListeners } from 'node:events';
import { readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { isTrial } from './parent.ts';

/** 128 and the signal's number, as shells have it. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

type EndingSignal = keyof typeof EXIT_CODES;

/** Hears the signals from its making on, until it is disposed of; the one made last hears them alone. */
export class Interruption implements Disposable {
  static readonly #made: Interruption[] = [];
  readonly #abort = new AbortController();
  readonly #ignoresHangup = isHangupIgnored();
  readonly #words: string;
  #exitCode: number | undefined;

  /** @param kept said when the process ends at once */
  constructor(kept?: string) {
    this.#words = kept === undefined ? 'Interrupted.' : `Interrupted: ${kept}.`;
    for (const name of Object.keys(EXIT_CODES)) process.on(name, this.#hear);
    if (isTrial()) {
      process.on('disconnect', this.#orphaned);
      process.channel?.unref();
    }
    Interruption.#made.push(this);
  }

  /** Aborted by the first signal. Work that stops by itself then has a listener on it. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Of the process, by the signal that was heard. */
  get exitCode(): number | undefined {
    return this.#exitCode;
  }

  /** Stops work as the first signal does, without a word. @param exitCode of the process */
  stop(exitCode: number): void {
    this.#exitCode ??= exitCode;
    this.#abort.abort();
  }

  readonly #hear = (name: EndingSignal): void => {
    if (Interruption.#made.at(-1) !== this || (name === 'SIGHUP' && this.#ignoresHangup)) return;
    const isFirst = this.#exitCode === undefined;
    this.#exitCode = EXIT_CODES[name];
    if (!isFirst || getEventListeners(this.signal, 'abort').length === 0) {
      process.stderr.write(`\nlight-peft: ${this.#words}\n`);
      process.exit(this.#exitCode);
    }
    process.stderr.write('\nStopping after this step or batch; press Ctrl-C again to stop at once.\n');
    this.#abort.abort();
  };

  /** A process that a worker began ends with it: the trial is another worker's then. */
  readonly #orphaned = (): void => this.#hear('SIGTERM');

  [Symbol.dispose](): void {
    for (const name of Object.keys(EXIT_CODES)) process.off(name, this.#hear);
    process.off('disconnect', this.#orphaned);
    Interruption.#made.splice(Interruption.#made.indexOf(this), 1);
  }
}

/**
 * Whether the command was started so that SIGHUP does nothing to it, as by `nohup`. Node.js gives every ignored signal its default effect
 * back before a program's first line, so only traces tell: the program that a shell started, the input that `nohup` gives in place of a
 * terminal, and processes above this one in its session that ignore the signal.
 */
function isHangupIgnored(): boolean {
  if (basename(process.env._ ?? '') === 'nohup') return true;
  try {
    return inputIsClosed() || ancestorsIgnoreHangup();
  } catch {
    // There is no /proc.
    return false;
  }
}

/** Whether standard input cannot be read though it is /dev/null: `nohup` makes it so. */
function inputIsClosed(): boolean {
  const flags = /^flags:\s*(\d+)$/m.exec(readFileSync('/proc/self/fdinfo/0', 'latin1'))?.[1] ?? '';
  return readlinkSync('/proc/self/fd/0') === '/dev/null' && (parseInt(flags, 8) & 3) === 1;
}

function ancestorsIgnoreHangup(): boolean {
  const processOf = (pid: number): { parent: number; session: number; ignored: bigint } => {
    const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [, parent, , session] = line.slice(line.lastIndexOf(')') + 2).split(' ');
    const ignored = /^SigIgn:\s*([\da-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '0';
    return { parent: Number(parent), session: Number(session), ignored: BigInt(`0x${ignored}`) };
  };
  const { parent, session } = processOf(process.pid);
  for (let pid = parent; pid > 1;) {
    const above = processOf(pid);
    if (above.session !== session) return false;
    if ((above.ignored & 1n) === 1n) return true;
    pid = above.parent;
  }
  return false;
}
