/** Room: cli. Shows a sweep: on a terminal a bar of all trials and a line for each that runs, in a pipe a line for each that ends. */
import cliProgress from 'cli-progress';
import { duration, measure } from '../report/numbers.ts';
import type { SweepFile, TrialRecord } from '../report/sweep/schema.ts';
import type { StepReport } from '../sweep/child.ts';
import type { Job } from '../sweep/job.ts';
import { plainText } from '../sweep/spec.ts';

export class SweepProgress implements Disposable {
  readonly #sweep: SweepFile;
  readonly #stream = process.stderr;
  readonly #bars: cliProgress.MultiBar | undefined;
  readonly #all: cliProgress.SingleBar | undefined;
  readonly #running = new Map<string, cliProgress.SingleBar>();
  readonly #started = Date.now();
  readonly #before: number;

  /** @param recorded trials that were there before */
  constructor(sweep: SweepFile, recorded: number) {
    const { trials: total } = sweep;
    this.#sweep = sweep;
    this.#before = recorded;
    if (!this.#stream.isTTY) return;
    this.#bars = new cliProgress.MultiBar(
      { format: '{bar} {value}/{total} {what}', barsize: 20, stream: this.#stream, clearOnComplete: false },
      cliProgress.Presets.shades_classic,
    );
    this.#all = this.#bars.create(total, recorded, { what: 'trials' });
  }

  begin({ kind, id, config, part }: Job): void {
    const what = `${kind} ${id}`;
    const until = part ? ` to step ${part.pauseAfter}` : '';
    if (this.#bars) this.#running.get(id)?.update(0, { what });
    else if (part && part.rung > 0) this.#stream.write(`${what} goes on${until}\n`);
    else this.#stream.write(`${what} begins${until}${kind === 'trial' ? `: ${this.#shown(config)}` : ''}\n`);
  }

  /** Options that trials differ in. */
  #shown(config: Job['config']): string {
    return this.#sweep.axes
      .filter((key) => key in config)
      .map((key) => `${key} ${plainText(config[key])}`)
      .join(', ');
  }

  step({ kind, id }: Job, { step, total, loss }: StepReport): void {
    if (!this.#bars) return;
    const what = `${kind} ${id} · loss ${loss.toFixed(4)}`;
    const bar = this.#running.get(id) ?? this.#bars.create(total, 0, { what });
    this.#running.set(id, bar);
    bar.setTotal(total);
    bar.update(step, { what });
    // An estimation is not recorded; its bar goes with its last step.
    if (kind === 'estimate' && step >= total) this.#remove(id);
  }

  #remove(id: string): void {
    const bar = this.#running.get(id);
    if (bar) this.#bars?.remove(bar);
    this.#running.delete(id);
  }

  record({ id, state, metrics, seconds, error }: TrialRecord, recorded: number): void {
    const { metric, trials: total } = this.#sweep;
    const value = metric === undefined ? undefined : metrics[metric];
    const figure = value === undefined ? '' : `, ${metric} ${measure(value)}`;
    const why = error === null ? '' : `: ${error.split('\n')[0]}`;
    this.#all?.update(recorded, { what: `trials${this.#left(recorded)}` });
    this.#remove(id);
    const line = `trial ${id} ${state}${figure}, ${duration(seconds)}${why} (${recorded} of ${total})\n`;
    if (this.#bars) this.#bars.log(line);
    else this.#stream.write(line);
  }

  /** By the trials until now. */
  #left(recorded: number): string {
    const done = recorded - this.#before;
    const left = this.#sweep.trials - recorded;
    if (done === 0 || left <= 0) return '';
    return ` · ${duration(((Date.now() - this.#started) / 1000 / done) * left)} left`;
  }

  [Symbol.dispose](): void {
    this.#bars?.stop();
  }
}
