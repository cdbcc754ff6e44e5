/** Room: cli. Shows long work: a bar with loss, tokens/s, memory and time left on a terminal, plain lines in a pipe. */
import cliProgress from 'cli-progress';
import type { Engine } from '../engine/engine.ts';
import { duration } from '../report/numbers.ts';
import type { StepReport } from '../train/loop.ts';
import { tellParent } from './parent.ts';

/** Seconds between two lines in a pipe. */
const LINE_EVERY = 5;

/** Bytes below which reading a file takes no time worth showing. */
const SHOWN_FROM = 20e6;

export class Progress {
  readonly #engine: Engine;
  readonly #stream = process.stderr;
  #title = '';
  #bar: cliProgress.SingleBar | undefined;
  #started = 0;
  #lastLine = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Announces the next piece of work. */
  stage(title: string): void {
    this.finish();
    this.#title = title;
    this.#started = performance.now();
    this.#lastLine = 0;
    if (!this.#stream.isTTY) this.#stream.write(`${title}\n`);
  }

  report(report: StepReport): void {
    const { step, total, loss } = report;
    tellParent({ title: this.#title, step, total, loss });
    if (this.#stream.isTTY) this.#draw(report);
    else this.#print(report);
  }

  /** How long all of some pieces of work will take, this one among them. */
  forecast(seconds: number, pieces: number): void {
    if (pieces < 2) return;
    this.finish();
    this.#stream.write(`All ${pieces} parts of this, estimations included, will take about ${duration(seconds)}.\n`);
  }

  /** How much of a checkpoint or a data file has been read. */
  bytes(done: number, total: number): void {
    if (total < SHOWN_FROM) return;
    const [read, all] = [done, total].map((n) => Math.round(n / 1e6)) as [number, number];
    if (!this.#stream.isTTY) {
      if (done === total || this.#lineIsDue()) this.#stream.write(`  ${read} of ${all} MB read\n`);
      return;
    }
    this.#bar ??= this.#newBar('{bar} {value}/{total} MB · {eta_formatted} left', all, 0);
    this.#bar.update(read);
    if (done === total) this.finish();
  }

  /** Leaves the cursor below the bar. */
  finish(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #draw({ from, step, total, loss, tokensPerSecond }: StepReport): void {
    const format = '{bar} {value}/{total} · loss {loss} · {rate} tokens/s · {memory} · {eta_formatted} left';
    this.#bar ??= this.#newBar(format, total, from);
    this.#bar.update(step, { loss: loss.toFixed(4), rate: Math.round(tokensPerSecond), memory: this.#memory() });
  }

  #newBar(format: string, total: number, from: number): cliProgress.SingleBar {
    const bar = new cliProgress.SingleBar(
      { format: `${this.#title} ${format}`, barsize: 20, stream: this.#stream },
      cliProgress.Presets.shades_classic,
    );
    bar.start(total, from, { loss: '-', rate: '-', memory: this.#memory() });
    return bar;
  }

  #print({ from, step, total, loss, tokensPerSecond }: StepReport): void {
    if (step < total && !this.#lineIsDue()) return;
    const seconds = (performance.now() - this.#started) / 1000;
    const left = Math.round((seconds / (step - from)) * (total - step));
    const rate = `${Math.round(tokensPerSecond)} tokens/s`;
    this.#stream.write(
      `  step ${step}/${total}  loss ${loss.toFixed(4)}  ${rate}  ${this.#memory()}  ${left} s left\n`,
    );
  }

  #lineIsDue(): boolean {
    const seconds = (performance.now() - this.#started) / 1000;
    if (seconds - this.#lastLine < LINE_EVERY) return false;
    this.#lastLine = seconds;
    return true;
  }

  #memory(): string {
    return `${(this.#engine.memory.current / 1e6).toFixed(0)} MB`;
  }
}
