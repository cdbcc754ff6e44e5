/** Room: engine. The device with its memory, pipelines and arena: everything a model needs to live and run. */
import { BYTES, type DeviceTraits, type DType } from '../kernels/kernel.ts';
import { selectDefault, type ConfigSelector } from '../kernels/config.ts';
import { Arena } from './device/arena.ts';
import { PipelineWarmup } from './device/pipeline-warmup.ts';
import { openDevice, type AdapterDescription, type OpenDevice } from './device/device.ts';
import { Memory, wholeWords, type MemoryLimits, type Storage } from './device/memory.ts';
import { waitForGpu } from './device/wait.ts';
import { Pipelines } from './device/pipelines.ts';
import { submit } from './device/submit.ts';
import { Uploads, type HostArray } from './device/uploads.ts';
import { option, UserError } from './errors.ts';
import { ARENA_ALIGNMENT } from './compile/contiguous.ts';
import { TooLargeError } from './compile/limits.ts';
import { planProgram, type ProgramPlan } from './compile/plan.ts';
import {
  Program,
  type CompileOptions,
  type InputSpec,
  type ProgramObserver,
  type ProgramTuner,
  type RunProfiler,
  type Runtime,
} from './compile/program.ts';
import type { Update } from './compile/graph.ts';
import { sizeOf, type Shape } from './graph/shape.ts';
import type { Tensor } from './graph/tensor.ts';
import { inputLeaf } from './ops/leaf.ts';
import { f16ToF32 } from './io/float16.ts';
import { padded, unpadded } from './padding.ts';
import { Variable, type VariableOptions, type VariableStore } from './variable.ts';

export type { HostArray };

/** What a traced function gives back. */
export interface Traced {
  readonly outputs?: Readonly<Record<string, Tensor>>;
  /** New values of variables, all computed from their values at the start of the run. */
  readonly updates?: readonly Update[];
}

/** How an engine is opened. */
export interface EngineOptions {
  /** Whether products may round f32 operands to f16 for the device's matrix units; sums stay f32. */
  readonly allowF16Matmul?: boolean;
  /** Lower than the adapter's own, as those of a smaller device. */
  readonly limits?: Partial<MemoryLimits>;
}

/**
 * An open device and what lives on it. Its programs share an arena and so run one at a time. Errors of the device are thrown by
 * whatever next waits for it.
 */
export class Engine implements Runtime, VariableStore {
  readonly device: GPUDevice;
  readonly traits: DeviceTraits;
  readonly adapter: AdapterDescription;
  readonly limits: MemoryLimits;
  readonly memory: Memory;
  readonly pipelines: Pipelines;
  readonly arena: Arena;
  /** While set, it times the first runs of every program. */
  profiler: RunProfiler | undefined;
  /** Chooses the configs of kernels; by their own tables unless set otherwise. */
  selectConfig: ConfigSelector = selectDefault;
  /** While set, programs that can be tuned are, before their first run. */
  tuner: ProgramTuner | undefined;
  /** While set, it is told of every program that is compiled. */
  observer: ProgramObserver | undefined;
  readonly #open: OpenDevice;
  readonly #warmup: PipelineWarmup | undefined;
  readonly #uploads: Uploads;
  #isMeasured = false;
  #fault: Error | undefined;

  private constructor(open: OpenDevice, allowF16Matmul: boolean, lower: Partial<MemoryLimits>) {
    this.#open = open;
    this.device = open.device;
    this.traits = { ...open.traits, allowF16Matmul };
    this.adapter = open.adapter;
    this.limits = lowered(open.device.limits, lower);
    this.memory = new Memory(open.device, this.limits);
    this.#uploads = new Uploads(open.device);
    this.#warmup = open.traits.software ? new PipelineWarmup(open.device, () => open.another()) : undefined;
    this.pipelines = new Pipelines(open.device, this.#warmup);
    this.arena = new Arena(this.memory, this.limits.maxBufferSize);
    open.device.onuncapturederror = (event) => {
      this.#fault ??= new Error(`WebGPU: ${event.error.message}`);
    };
  }

  /**
   * Opens the machine's adapter.
   * @throws NoAdapterError where the machine has no usable adapter
   * @throws UserError where `allowF16Matmul` is asked for and there are no matrix units
   */
  static async open({ allowF16Matmul = false, limits = {} }: EngineOptions = {}): Promise<Engine> {
    const open = await openDevice();
    if (allowF16Matmul && !open.traits.matrix) {
      open.close();
      throw new UserError(
        `${option('compute')} f16: the adapter ${open.adapter.device} has no matrix units for f16 factors and f32 sums; leave it out.`,
      );
    }
    return new Engine(open, allowF16Matmul, limits);
  }

  /** A zeroed variable, or one with the given content. */
  variable(name: string, shape: Shape, { dtype = 'f32', kind, data, stored = shape }: VariableOptions): Variable {
    const bytes = sizeOf(stored) * BYTES[dtype];
    const buffer = this.memory.allocate(bytes, kind, name);
    const variable = new Variable(name, shape, dtype, kind, { buffer, offset: 0, bytes }, stored);
    if (data) this.write(variable, data);
    return variable;
  }

  /**
   * Zeroed variables of one shape side by side in one buffer, so that products with all of them can be one kernel. They are freed
   * one by one. Where the device's alignment or binding limit does not allow it, each has a buffer of its own.
   */
  allocateContiguous(names: readonly string[], shape: Shape, options: Omit<VariableOptions, 'data'>): Variable[] {
    const { dtype = 'f32', kind, stored = shape } = options;
    const bytes = sizeOf(stored) * BYTES[dtype];
    const alignment = this.device.limits.minStorageBufferOffsetAlignment;
    if (bytes % alignment !== 0 || bytes * names.length > this.limits.maxStorageBufferBindingSize)
      return names.map((name) => this.variable(name, shape, options));
    const buffer = this.memory.allocate(bytes * names.length, kind, names.join(', '), names.length);
    return names.map((name, i) => new Variable(name, shape, dtype, kind, { buffer, offset: i * bytes, bytes }, stored));
  }

  /** Moves variables of one shape side by side. @returns them in their new place */
  makeContiguous(variables: readonly Variable[]): readonly Variable[] {
    const [{ kind, dtype, shape, stored }] = variables as readonly [Variable, ...Variable[]];
    const names = variables.map(({ name }) => name);
    const moved = this.allocateContiguous(names, shape, { kind, dtype, stored });
    submit(this.device, (encoder) => {
      variables.forEach(({ storage: old }, i) => {
        const { buffer, offset, bytes } = moved[i]!.storage;
        encoder.copyBufferToBuffer(old.buffer, old.offset, buffer, offset, bytes);
      });
    });
    for (const variable of variables) this.free(variable);
    return moved;
  }

  /** Replaces a variable's content; `data` is in the variable's own storage type. */
  write(variable: Variable, data: HostArray): void {
    if (data.length !== variable.size)
      throw new Error(`${variable.name} holds ${variable.size} values, got ${data.length}`);
    this.#uploads.write(variable.storage, 0, padded(data, variable.shape, variable.stored));
  }

  /**
   * Replaces the content of a variable stored as it is by pieces in order, as they come; host memory holds few of them at a time.
   * @param pieces in the variable's own storage type; all but the last of whole words (4 bytes)
   */
  async fill(variable: Variable, pieces: AsyncIterable<HostArray>): Promise<void> {
    const written = await this.#uploads.fill(variable.storage, pieces);
    this.check();
    if (written !== variable.size) throw new Error(`${variable.name} holds ${variable.size} values, got ${written}`);
  }

  /** A variable's content as f32 values. */
  async read(variable: Variable): Promise<Float32Array> {
    const values = await this.readStorage(variable.storage, variable.dtype);
    return unpadded(values, variable.shape, variable.stored);
  }

  /** Frees a variable that owns its buffer; views of it die too. */
  free(variable: Variable): void {
    this.memory.free(variable.storage.buffer);
  }

  /**
   * Traces `fn` once for inputs of the given shapes and compiles it.
   * @param name shown in errors and profiles
   * @param options.selectConfig in place of the engine’s own choice
   * @returns a program that may run any number of times; `dispose` frees what it owns
   * @throws UserError where the device cannot do what `options` ask for, and TooLargeError where it cannot bind a tensor; Error naming a kernel that does not compile
   */
  async compile<I extends Readonly<Record<string, InputSpec>>>(
    name: string,
    inputs: I,
    fn: (inputs: { readonly [K in keyof I]: Tensor }) => Traced,
    options: CompileOptions = {},
  ): Promise<Program> {
    const program = await Program.build(this, this.#plan(name, inputs, fn, options));
    await this.observer?.built(program);
    return program;
  }

  /** Whether `compile` would find nothing too large for the device; nothing is made on it. Throws what else `compile` throws. */
  fits<I extends Readonly<Record<string, InputSpec>>>(
    name: string,
    inputs: I,
    fn: (inputs: { readonly [K in keyof I]: Tensor }) => Traced,
    options: CompileOptions = {},
  ): boolean {
    try {
      this.#plan(name, inputs, fn, options);
      return true;
    } catch (error) {
      if (error instanceof TooLargeError) return false;
      throw error;
    }
  }

  #plan<I extends Readonly<Record<string, InputSpec>>>(
    name: string,
    inputs: I,
    fn: (inputs: { readonly [K in keyof I]: Tensor }) => Traced,
    options: CompileOptions,
  ): ProgramPlan {
    if (options.activations === 'f16') this.needF16(`${option('activations')} f16`);
    const leaves = Object.fromEntries(
      Object.entries(inputs).map(([key, s]) => [key, inputLeaf(key, s.shape, s.dtype)]),
    );
    const { outputs = {}, updates = [] } = fn(leaves as { readonly [K in keyof I]: Tensor });
    const how = { ...options, selectConfig: options.selectConfig ?? this.selectConfig };
    return planProgram({ name, inputs, outputs, updates }, this, how);
  }

  /** Computes one tensor of a graph without inputs: for exploring and tests. */
  async evaluate(tensor: Tensor): Promise<Float32Array> {
    const program = await this.compile('evaluate', {}, () => ({ outputs: { value: tensor } }));
    program.run();
    const value = await program.read('value');
    program.dispose();
    return value;
  }

  /** The content of a range of a buffer as f32 values, or the integers it holds. */
  async readStorage(storage: Storage, dtype: DType): Promise<Float32Array> {
    return toFloat32(await this.readBytes(storage), dtype);
  }

  /** The raw content of a range of a buffer. */
  async readBytes({ buffer, offset, bytes }: Storage): Promise<ArrayBuffer> {
    this.check();
    const start = Math.floor(offset / 4) * 4;
    const size = wholeWords(offset + bytes - start);
    const staging = this.device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    submit(this.device, (encoder) => encoder.copyBufferToBuffer(buffer, start, staging, 0, size));
    try {
      await waitForGpu(staging.mapAsync(GPUMapMode.READ));
    } catch (error) {
      this.check();
      throw error;
    }
    const copy = staging.getMappedRange().slice(offset - start, offset - start + bytes);
    staging.destroy();
    this.check();
    return copy;
  }

  /** @throws UserError naming what asked for it where the device has no shader-f16 */
  needF16(asker: string): void {
    if (!this.traits.f16) throw new UserError(`${asker}: the adapter has no shader-f16; use f32`);
  }

  /** Waits until everything enqueued so far has run. */
  async finish(): Promise<void> {
    await waitForGpu(this.device.queue.onSubmittedWorkDone());
    this.check();
  }

  /** @throws DeviceLostError or the first validation error since the last check */
  check(): void {
    if (this.#open.lost.error) throw this.#open.lost.error;
    if (!this.#fault) return;
    const fault = this.#fault;
    this.#fault = undefined;
    throw fault;
  }

  /**
   * Runs `work` and measures the most device memory in use meanwhile. The arena is released before, so that it counts only as far as the
   * work needs it. Within work that is measured, e.g. an evaluation during training, it is the peak of that work so far.
   * @returns what `work` returns, and bytes of all kinds, those allocated before included
   */
  async measurePeak<T>(work: () => T | Promise<T>): Promise<{ readonly value: T; readonly peakBytes: number }> {
    if (this.#isMeasured) return { value: await work(), peakBytes: this.memory.peak };
    this.#isMeasured = true;
    try {
      this.arena.release();
      this.memory.resetPeak();
      const value = await work();
      return { value, peakBytes: this.memory.peak };
    } finally {
      this.#isMeasured = false;
    }
  }

  /** Destroys the device with all that lies on it, and lets the process end. */
  close(): void {
    void this.#warmup?.close();
    this.#open.close();
  }

  /** `using engine = await Engine.open()` */
  [Symbol.dispose](): void {
    this.close();
  }
}

function lowered(own: MemoryLimits, lower: Partial<MemoryLimits>): MemoryLimits {
  const least = (key: keyof MemoryLimits): number => Math.min(own[key], lower[key] ?? Infinity);
  const maxBufferSize = Math.floor(least('maxBufferSize') / ARENA_ALIGNMENT) * ARENA_ALIGNMENT;
  const maxStorageBufferBindingSize = Math.min(least('maxStorageBufferBindingSize'), maxBufferSize);
  return { maxBufferSize, maxStorageBufferBindingSize };
}

function toFloat32(bytes: ArrayBuffer, dtype: DType): Float32Array {
  if (dtype === 'f32') return new Float32Array(bytes);
  if (dtype === 'f16') return f16ToF32(new Uint16Array(bytes));
  return Float32Array.from(dtype === 'i32' ? new Int32Array(bytes) : new Uint32Array(bytes));
}
