/** Room: engine. Programs by batch shape, compiled (and tuned, where that is asked for) when a shape is first met. */
import { TooLargeError } from './compile/limits.ts';
import type { CompileOptions, InputSpec, Program } from './compile/program.ts';
import type { Engine, HostArray, Traced } from './engine.ts';
import { option, UserError } from './errors.ts';
import type { Tensor } from './graph/tensor.ts';
import { warn } from './warnings.ts';

/** Sequences in a batch, and tokens in each. */
export interface BatchShape {
  readonly batch: number;
  readonly seq: number;
}

/** What is compiled for a batch shape: the arguments of `Engine.compile`. */
export interface ProgramSource {
  readonly name: string;
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly trace: (inputs: Readonly<Record<string, Tensor>>) => Traced;
  readonly options?: CompileOptions | undefined;
}

/** How a batch is to be fitted; see `ProgramCache.rowsOf`. */
export interface Fitting {
  readonly inputs?: (rows: number) => Readonly<Record<string, HostArray>> | undefined;
  readonly unit?: number;
  readonly reason?: TooLargeError;
}

/** Lengths of rows that are tried are multiples of this. */
const LENGTH_STEP = 8;

export class ProgramCache implements Disposable {
  readonly #engine: Engine;
  readonly #source: (shape: BatchShape) => ProgramSource;
  readonly #programs = new Map<string, Program>();
  /** Rows that fit, of shapes that do not. */
  readonly #rows = new Map<string, number>();

  constructor(engine: Engine, source: (shape: BatchShape) => ProgramSource) {
    this.#engine = engine;
    this.#source = source;
  }

  /**
   * @param inputs values to tune with; without them the program is not tuned
   * @throws TooLargeError where the device cannot hold a batch of this shape
   */
  async get({ batch, seq }: BatchShape, inputs?: Readonly<Record<string, HostArray>>): Promise<Program> {
    const key = `${batch}x${seq}`;
    const known = this.#programs.get(key);
    if (known) return known;
    const { tuner } = this.#engine;
    const { name, inputs: specs, trace, options } = this.#source({ batch, seq });
    const compile = (selectConfig?: CompileOptions['selectConfig']): Promise<Program> =>
      this.#engine.compile(name, specs, trace, { ...options, selectConfig });
    const program = tuner && inputs ? await tuner.tune(compile, inputs) : await compile();
    this.#programs.set(key, program);
    return program;
  }

  /**
   * How many rows of a batch go through a program at a time: all, or the most that fit, evened out; a warning says so. Their program is
   * compiled then.
   * @param inputs values to tune a program for so many rows with
   * @param unit rows that stay together
   * @param reason why all at once is not to be tried
   * @throws UserError with the length that fits where not even `unit` rows do
   */
  async rowsOf(shape: BatchShape, { inputs, unit = 1, reason }: Fitting): Promise<number> {
    const { batch, seq } = shape;
    const key = `${batch}x${seq}`;
    const known = this.#programs.has(key) ? batch : this.#rows.get(key);
    if (known !== undefined) return known;
    let [rows, why] = [batch, reason];
    for (;;) {
      if (why) rows = this.#fewer(shape, rows, unit, why);
      try {
        await this.get({ batch: rows, seq }, inputs?.(rows));
        break;
      } catch (error) {
        if (!(error instanceof TooLargeError)) throw error;
        why = error;
      }
    }
    if (why && this.#rows.size === 0) warnOfParts(shape, rows, why);
    if (why) this.#rows.set(key, rows);
    return rows;
  }

  /** The next number of rows to try, as even parts of the batch. */
  #fewer({ batch, seq }: BatchShape, rows: number, unit: number, why: TooLargeError): number {
    if (why.isResident) throw why;
    if (rows <= unit) throw this.#tooLong({ batch: unit, seq }, why);
    const most = Math.max(unit, Math.min(rows - unit, rows / why.excess));
    const parts = Math.ceil(batch / unit / Math.floor(most / unit));
    return Math.ceil(batch / unit / parts) * unit;
  }

  /** What to say of rows that do not fit even alone. */
  #tooLong({ batch, seq }: BatchShape, why: TooLargeError): UserError {
    const fits = (length: number): boolean => {
      const { name, inputs, trace, options } = this.#source({ batch, seq: length });
      return this.#engine.fits(name, inputs, trace, options);
    };
    let [most, over] = [0, Math.ceil(seq / LENGTH_STEP)];
    while (over - most > 1) {
      const middle = Math.floor((most + over) / 2);
      if (fits(middle * LENGTH_STEP)) most = middle;
      else over = middle;
    }
    if (most === 0) return why;
    const length = most * LENGTH_STEP;
    return new UserError(
      `A row of ${seq} tokens is too long: ${why.message}. Set ${option('maxLength')} to ${length}.`,
    );
  }

  /** Programs compiled so far. */
  get all(): readonly Program[] {
    return [...this.#programs.values()];
  }

  dispose(): void {
    for (const program of this.#programs.values()) program.dispose();
    this.#programs.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function warnOfParts({ batch, seq }: BatchShape, rows: number, why: TooLargeError): void {
  const parts = Math.ceil(batch / rows);
  warn(
    `${why.message}: batches of ${batch} × ${seq} run as ${parts} micro-batches of ${rows} rows, with the same result`,
  );
}
