/** Room: train. Programs by batch shape, compiled when a shape is first met. */
import type { Program } from '../engine/compile/program.ts';

export class ProgramCache {
  readonly #compile: (batch: number, seq: number) => Promise<Program>;
  readonly #programs = new Map<string, Program>();

  constructor(compile: (batch: number, seq: number) => Promise<Program>) {
    this.#compile = compile;
  }

  async get(batch: number, seq: number): Promise<Program> {
    const key = `${batch}x${seq}`;
    const known = this.#programs.get(key);
    if (known) return known;
    const program = await this.#compile(batch, seq);
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
