/** Room: cli. Shows a sweep: on a terminal a bar of all trials and a line for each that runs, in a pipe a line for each that ends. */
import cliProgress from 'cli-progress';
import { duration, measure } from '../report/numbers.ts';
import type { TrialRecord } from '../report/sweep/schema.ts';
import type { StepReport } from '../sweep/child.ts';
import type { Job } from '../sweep/job.ts';

export class SweepProgress implements Disposable {
  readonly #total: number;
  readonly #metric: string | undefined;
  readonly #stream = process.stderr;
  readonly #bars: cliProgress.MultiBar | undefined;
  readonly #all: cliProgress.SingleBar | undefined;
  readonly #running = new Map<string, cliProgress.SingleBar>();
  readonly #started = Date.now();
  readonly #before: number;

  /** @param recorded trials that were there before */
  constructor(total: number, recorded: number, metric: string | undefined) {
    this.#total = total;
    this.#before = recorded;
    this.#metric = metric;
    if (!this.#stream.isTTY) return;
    this.#bars = new cliProgress.MultiBar(
      { format: '{bar} {value}/{total} {what}', barsize: 20, stream: this.#stream, clearOnComplete: false },
      cliProgress.Presets.shades_classic,
    );
    this.#all = this.#bars.create(total, recorded, { what: 'trials' });
  }

  begin({ kind, id, config }: Job): void {
    const what = `${kind} ${id}`;
    if (this.#bars) this.#running.get(id)?.update(0, { what });
    else this.#stream.write(`${what} begins${kind === 'trial' ? `: ${shownConfig(config)}` : ''}\n`);
  }

  step({ kind, id }: Job, { step, total, loss }: StepReport): void {
    if (!this.#bars) return;
    const what = `${kind} ${id} · loss ${loss.toFixed(4)}`;
    const bar = this.#running.get(id) ?? this.#bars.create(total, 0, { what });
    this.#running.set(id, bar);
    bar.setTotal(total);
    bar.update(step, { what });
  }

  record({ id, state, metrics, seconds, error }: TrialRecord, recorded: number): void {
    const value = this.#metric === undefined ? undefined : metrics[this.#metric];
    const figure = value === undefined ? '' : `, ${this.#metric} ${measure(value)}`;
    const why = error === null ? '' : `: ${error.split('\n')[0]}`;
    this.#all?.update(recorded, { what: `trials${this.#left(recorded)}` });
    const bar = this.#running.get(id);
    if (bar) this.#bars?.remove(bar);
    this.#running.delete(id);
    const line = `trial ${id} ${state}${figure}, ${duration(seconds)}${why} (${recorded} of ${this.#total})\n`;
    if (this.#bars) this.#bars.log(line);
    else this.#stream.write(line);
  }

  /** By the trials until now. */
  #left(recorded: number): string {
    const done = recorded - this.#before;
    if (done === 0 || recorded >= this.#total) return '';
    return ` · ${duration(((Date.now() - this.#started) / 1000 / done) * (this.#total - recorded))} left`;
  }

  [Symbol.dispose](): void {
    this.#bars?.stop();
  }
}

/** Options in short, without those that name files. */
function shownConfig(config: Job['config']): string {
  return Object.entries(config)
    .map(([key, value]) => `${key} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ');
}
