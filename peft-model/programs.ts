/** Room: peft-model. Programs by batch shape, compiled (and tuned, where that is asked for) when a shape is first met. */
import type { Program } from '../engine/compile/program.ts';
import type { Engine, HostArray } from '../engine/engine.ts';
import type { ConfigSelector } from '../kernels/config.ts';

export class ProgramCache {
  readonly #engine: Engine;
  readonly #compile: (batch: number, seq: number, selectConfig?: ConfigSelector) => Promise<Program>;
  readonly #programs = new Map<string, Program>();

  constructor(
    engine: Engine,
    compile: (batch: number, seq: number, selectConfig?: ConfigSelector) => Promise<Program>,
  ) {
    this.#engine = engine;
    this.#compile = compile;
  }

  /** @param inputs values to tune with; without them the program is not tuned */
  async get(batch: number, seq: number, inputs?: Readonly<Record<string, HostArray>>): Promise<Program> {
    const key = `${batch}x${seq}`;
    const known = this.#programs.get(key);
    if (known) return known;
    const { tuner } = this.#engine;
    const program =
      tuner && inputs
        ? await tuner.tune((selectConfig) => this.#compile(batch, seq, selectConfig), inputs)
        : await this.#compile(batch, seq);
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
}
