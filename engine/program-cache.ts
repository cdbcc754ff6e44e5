/** Room: engine. Programs by batch shape, compiled (and tuned, where that is asked for) when a shape is first met. */
import type { ConfigSelector } from '../kernels/config.ts';
import type { Program } from './compile/program.ts';
import type { Engine, HostArray } from './engine.ts';

/** Sequences in a batch, and tokens in each. */
export interface BatchShape {
  readonly batch: number;
  readonly seq: number;
}

export class ProgramCache implements Disposable {
  readonly #engine: Engine;
  readonly #compile: (shape: BatchShape, selectConfig?: ConfigSelector) => Promise<Program>;
  readonly #programs = new Map<string, Program>();

  constructor(engine: Engine, compile: (shape: BatchShape, selectConfig?: ConfigSelector) => Promise<Program>) {
    this.#engine = engine;
    this.#compile = compile;
  }

  /** @param inputs values to tune with; without them the program is not tuned */
  async get({ batch, seq }: BatchShape, inputs?: Readonly<Record<string, HostArray>>): Promise<Program> {
    const key = `${batch}x${seq}`;
    const known = this.#programs.get(key);
    if (known) return known;
    const { tuner } = this.#engine;
    const shape = { batch, seq };
    const program =
      tuner && inputs
        ? await tuner.tune((selectConfig) => this.#compile(shape, selectConfig), inputs)
        : await this.#compile(shape);
    this.#programs.set(key, program);
    return program;
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
