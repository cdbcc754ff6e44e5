/**
 * Room: engine/compile. A compiled graph: kernels, buffers and bind groups are made once; a run only writes the inputs and
 * encodes the dispatches.
 */
import { BYTES, packParams, type DeviceTraits, type DType } from '../../kernels/kernel.ts';
import type { ConfigSelector } from '../../kernels/config.ts';
import type { Arena } from '../device/arena.ts';
import type { AdapterDescription } from '../device/device.ts';
import { wholeWords, type Memory, type MemoryLimits, type Storage } from '../device/memory.ts';
import type { Pipelines } from '../device/pipelines.ts';
import type { HostArray } from '../device/uploads.ts';
import { sizeOf } from '../graph/shape.ts';
import type { Tensor } from '../graph/tensor.ts';
import { submit, submitPass } from '../device/submit.ts';
import { PassTimer } from '../device/pass-timer.ts';
import type { Dispatch } from './lower.ts';
import type { Block, Place } from './place.ts';
import type { CompileOptions, InputSpec, ProgramPlan } from './plan.ts';

export type { CompileOptions, InputSpec };

/** What a program needs besides the variables it reads. */
export interface ProgramMemory {
  /** Bytes of the arena while the program runs. */
  readonly activations: number;
  /** Bytes of its inputs and uniforms. */
  readonly io: number;
  /** Bytes of what the backward pass finds of the forward pass: the least from which `CompileOptions.recompute` lets it go on. */
  readonly saved: number;
  /** Arena bytes in use at each dispatch. */
  readonly timeline: readonly number[];
  /** What lies in the arena, from which dispatch to which. */
  readonly blocks: readonly Block[];
}

/** What programs ask of a profiler: it sees their runs, and times some. */
export interface RunProfiler {
  /** @returns whether this run is to be timed, and given to `add` */
  starts(program: Program): boolean;
  add(program: Program, nanoseconds: Promise<number[]>): void;
}

/** Is told of every program that an engine compiles, before it first runs. */
export interface ProgramObserver {
  built(program: Program): Promise<void>;
}

/** Compiles one graph with the kernel configs that `selectConfig` names. */
export type CompileWith = (selectConfig: ConfigSelector) => Promise<Program>;

/** What those who compile ask of a tuner. */
export interface ProgramTuner {
  /** @returns the program with the fastest configs known for these inputs */
  tune(compile: CompileWith, inputs: Readonly<Record<string, HostArray>>): Promise<Program>;
}

/** What programs run on: an engine. */
export interface Runtime {
  readonly device: GPUDevice;
  readonly adapter: AdapterDescription;
  readonly traits: DeviceTraits;
  readonly limits: MemoryLimits;
  readonly memory: Memory;
  readonly pipelines: Pipelines;
  readonly arena: Arena;
  readonly profiler: RunProfiler | undefined;
  readBytes(storage: Storage): Promise<ArrayBuffer>;
  readStorage(storage: Storage, dtype: DType): Promise<Float32Array>;
  finish(): Promise<void>;
  /** @throws what went wrong since the last check */
  check(): void;
}

/**
 * A compiled graph with its own inputs and uniforms; made by `engine.compile`. A run computes all outputs and updates from the variables as
 * they are when it starts. Outputs stay readable until another program of the engine runs.
 */
export class Program {
  readonly name: string;
  readonly dispatches: readonly Dispatch[];
  readonly memory: ProgramMemory;
  readonly #runtime: Runtime;
  readonly #pipelines: readonly GPUComputePipeline[];
  readonly #places: ReadonlyMap<Tensor, Place>;
  readonly #inputs: ReadonlyMap<string, { spec: InputSpec; buffer: GPUBuffer }>;
  readonly #outputs: ReadonlyMap<string, Tensor>;
  readonly #uniforms: GPUBuffer;
  readonly #uniformOffsets: readonly number[];
  readonly #arena: Arena;
  #bindGroups: GPUBindGroup[] = [];
  #arenaVersion = -1;

  private constructor(runtime: Runtime, plan: ProgramPlan, pipelines: readonly GPUComputePipeline[]) {
    const { name, dispatches, places, outputs, arenaBytes, saved, timeline, blocks } = plan;
    this.name = name;
    this.dispatches = dispatches;
    this.#runtime = runtime;
    this.#pipelines = pipelines;
    this.#places = places;
    this.#outputs = outputs;
    this.#arena = runtime.arena;
    this.#inputs = allocateInputs(runtime, name, plan.inputs);
    const { buffer, offsets } = uploadUniforms(runtime, name, dispatches);
    this.#uniforms = buffer;
    this.#uniformOffsets = offsets;
    this.memory = {
      activations: arenaBytes,
      io: [...this.#inputs.values()].reduce((sum, { buffer: b }) => sum + b.size, this.#uniforms.size),
      saved,
      timeline,
      blocks,
    };
    // Early, so that too little memory is found here; but not where another program's outputs would be lost.
    if (!this.#arena.tenant) this.#arena.reserve(arenaBytes);
  }

  /** Makes pipelines and buffers for a plan. */
  static async build(runtime: Runtime, plan: ProgramPlan): Promise<Program> {
    const pipelines = await Promise.all(plan.dispatches.map(({ kernel }) => runtime.pipelines.get(kernel)));
    return new Program(runtime, plan, pipelines);
  }

  /**
   * Writes the inputs and enqueues one run. Returns at once; read results with `read`.
   * @throws Error naming the program and input where one is missing or has the wrong length
   */
  run(inputs: Readonly<Record<string, HostArray>> = {}): void {
    const { device, profiler } = this.#runtime;
    if (profiler?.starts(this)) {
      profiler.add(this, this.profile(inputs));
      return;
    }
    this.prepare(inputs);
    submitPass(device, (pass) => {
      for (let i = 0; i < this.dispatches.length; i++) this.encode(pass, i);
    });
  }

  /**
   * One run, timed dispatch by dispatch with the device's own clock.
   * @returns nanoseconds per dispatch, in order
   * @throws UserError where the device has no `timestamp-query`
   */
  async profile(inputs: Readonly<Record<string, HostArray>> = {}): Promise<number[]> {
    const { device } = this.#runtime;
    this.prepare(inputs);
    const timer = new PassTimer(this.#runtime, this.dispatches.length);
    submit(device, (encoder) => {
      for (let i = 0; i < this.dispatches.length; i++) {
        const pass = encoder.beginComputePass({ timestampWrites: timer.writes(i) });
        this.encode(pass, i);
        pass.end();
      }
      timer.resolve(encoder);
    });
    return timer.read();
  }

  /** Writes the inputs; then dispatches may be encoded one by one. */
  prepare(inputs: Readonly<Record<string, HostArray>>): void {
    this.#runtime.check();
    for (const [name, { spec, buffer }] of this.#inputs) {
      const data = inputs[name];
      if (data?.length !== sizeOf(spec.shape)) {
        throw new Error(
          `${this.name}: input ${name} needs ${sizeOf(spec.shape)} values, got ${data?.length ?? 'none'}`,
        );
      }
      this.#runtime.device.queue.writeBuffer(buffer, 0, data.buffer, data.byteOffset, data.byteLength);
    }
    this.#arena.reserve(this.memory.activations);
    this.#arena.tenant = this;
    if (this.#arenaVersion !== this.#arena.version) this.#bind();
  }

  /** Encodes one dispatch of a prepared program. */
  encode(pass: GPUComputePassEncoder, i: number): void {
    pass.setPipeline(this.#pipelines[i]!);
    pass.setBindGroup(0, this.#bindGroups[i]);
    pass.dispatchWorkgroups(...this.dispatches[i]!.kernel.workgroups);
  }

  /** Several outputs of the latest run by their names, as `read` gives them: all are copied before another program can run. */
  async readAll(names: readonly string[]): Promise<Map<string, Float32Array>> {
    return new Map(await Promise.all(names.map(async (name) => [name, await this.read(name)] as const)));
  }

  /**
   * The named output of the latest run, as f32 (or the integers it holds). Waits for the device.
   * @throws Error for another name, and where another program of the engine has run since: programs share the memory of their outputs
   */
  async read(name: string): Promise<Float32Array> {
    const tensor = this.#outputs.get(name);
    if (!tensor) throw new Error(`${this.name}: no output ${name}`);
    if (this.#places.get(tensor)?.kind === 'arena' && this.#arena.tenant !== this)
      throw new Error(`${this.name}: output ${name} is gone; read it after a run, before another program runs`);
    return this.#runtime.readStorage(this.#storageOf(tensor), tensor.dtype);
  }

  /** Where the bindings of dispatch `i` lie, in order; arena addresses change when the arena does. */
  storages(i: number): Storage[] {
    this.#arena.reserve(this.memory.activations);
    const { bound, spans } = this.dispatches[i]!;
    return bound.map((tensor, b) => {
      const storage = this.#storageOf(tensor);
      return { ...storage, bytes: storage.bytes * (spans?.[b] ?? 1) };
    });
  }

  /** Frees what the program owns; variables stay. Freeing twice is harmless. */
  dispose(): void {
    for (const { buffer } of this.#inputs.values()) this.#runtime.memory.free(buffer);
    this.#runtime.memory.free(this.#uniforms);
  }

  /** `using program = await engine.compile(…)` */
  [Symbol.dispose](): void {
    this.dispose();
  }

  #storageOf(tensor: Tensor): Storage {
    const { bytes } = tensor;
    const place = this.#places.get(tensor);
    if (place?.kind === 'resident') return place.storage;
    if (place?.kind === 'arena') return this.#arena.storage(place.block.offset + place.offset, bytes);
    const input = place && this.#inputs.get(place.name);
    if (!input) throw new Error(`${this.name}: ${tensor.toString()} has no place in memory`);
    return { buffer: input.buffer, offset: 0, bytes };
  }

  #bind(): void {
    const { device } = this.#runtime;
    this.#bindGroups = this.dispatches.map(({ kernel, bound }, i) => {
      const entries: GPUBindGroupEntry[] = this.storages(i).map(({ buffer, offset, bytes }, binding) => {
        return { binding, resource: { buffer, offset, size: wholeWords(bytes) } };
      });
      if (kernel.params.length > 0) {
        const size = packParams(kernel.params).byteLength;
        entries.push({
          binding: bound.length,
          resource: { buffer: this.#uniforms, offset: this.#uniformOffsets[i]!, size },
        });
      }
      const layout = this.#pipelines[i]!.getBindGroupLayout(0);
      return device.createBindGroup({ label: kernel.name, layout, entries });
    });
    this.#arenaVersion = this.#arena.version;
  }
}

function allocateInputs(
  { memory }: Runtime,
  program: string,
  specs: Readonly<Record<string, InputSpec>>,
): Map<string, { spec: InputSpec; buffer: GPUBuffer }> {
  return new Map(
    Object.entries(specs).map(([name, spec]) => {
      const buffer = memory.allocate(sizeOf(spec.shape) * BYTES[spec.dtype], 'io', `${program}.${name}`);
      return [name, { spec, buffer }];
    }),
  );
}

/** All uniform blocks in one buffer. */
function uploadUniforms(
  runtime: Runtime,
  program: string,
  dispatches: readonly Dispatch[],
): { buffer: GPUBuffer; offsets: number[] } {
  const align = runtime.device.limits.minUniformBufferOffsetAlignment;
  const packed = dispatches.map(({ kernel }) => new Uint8Array(packParams(kernel.params)));
  const offsets: number[] = [];
  let end = 0;
  for (const block of packed) {
    offsets.push(end);
    end = Math.ceil((end + block.byteLength) / align) * align;
  }
  const bytes = new Uint8Array(Math.max(end, align));
  packed.forEach((block, i) => bytes.set(block, offsets[i]));
  const buffer = runtime.memory.allocateUniform(bytes.byteLength, `${program}.uniforms`);
  runtime.device.queue.writeBuffer(buffer, 0, bytes);
  return { buffer, offsets };
}
