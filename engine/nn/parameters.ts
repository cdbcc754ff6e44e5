/**
 * Room: engine/nn. Trainable tensors laid side by side: one buffer for values, and once they train one each for gradients
 * and optimizer moments, so that a single kernel updates them all.
 */
import type { Engine } from '../engine.ts';
import { sizeOf, type Shape } from '../graph/shape.ts';
import { padded, unpadded } from '../padding.ts';
import type { Variable } from '../variable.ts';

/** A tensor to be trained, with its initial values. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: Shape;
  /** Its shape on the device, as `Variable` has it; `shape` unless set. */
  readonly stored?: Shape;
  readonly data: Float32Array;
  /** Multiplies the learning rate; 1 unless set. */
  readonly lrMultiplier?: number;
  /** Keeps its values: it has no gradient, and no moments; false unless set. */
  readonly frozen?: boolean;
  /** Whether weight decay applies; by convention not to biases, normalisation weights and masks. */
  readonly decay: boolean;
}

/** Parameters that share their optimizer settings; several such groups where one binding could not hold all. */
export interface ParameterGroup {
  readonly lrMultiplier: number;
  readonly frozen: boolean;
  readonly decay: boolean;
  /** All values, padding between tensors zero. */
  readonly flat: Variable;
  readonly parameters: readonly Variable[];
  /** Element offsets of the parameters in `flat`. */
  readonly offsets: readonly number[];
}

/** Elements to which each tensor's start is aligned: 256 bytes, the strictest offset alignment WebGPU allows. */
export const PARAMETER_ALIGNMENT = 64;

/** Trainable tensors by name, f32, in groups that share optimizer settings. Each is a `Variable` that graphs read by its `tensor`. */
export class Parameters {
  readonly groups: readonly ParameterGroup[];
  readonly #engine: Engine;
  readonly #byName = new Map<string, Variable>();

  /** @throws Error where two specs share a name or data does not fit its shape */
  constructor(engine: Engine, specs: readonly ParameterSpec[]) {
    this.#engine = engine;
    const keyOf = (s: ParameterSpec): string => `${s.lrMultiplier ?? 1}/${s.decay}/${s.frozen ?? false}`;
    const keys = [...new Set(specs.map(keyOf))];
    const { maxStorageBufferBindingSize: limit } = engine.limits;
    const grouped = keys.flatMap((key) => bindable(alikeTogether(specs.filter((s) => keyOf(s) === key)), limit));
    this.groups = grouped.map((group) => this.#group(group));
  }

  #group(specs: readonly ParameterSpec[]): ParameterGroup {
    const offsets: number[] = [];
    let end = 0;
    for (const spec of specs) {
      if (spec.data.length !== sizeOf(spec.shape))
        throw new Error(`${spec.name}: ${spec.data.length} values for its shape`);
      offsets.push(end);
      end += spaceOf(spec);
    }
    const data = new Float32Array(end);
    specs.forEach((spec, i) => data.set(padded(spec.data, spec.shape, spec.stored ?? spec.shape), offsets[i]));
    const { lrMultiplier = 1, decay, frozen = false } = specs[0]!;
    const flat = this.#engine.variable('trainables', [end], { kind: 'trainables', data });
    const parameters = specs.map((spec, i) => {
      const view = flat.view(spec.name, offsets[i]!, spec.shape, spec.stored);
      if (this.#byName.has(spec.name)) throw new Error(`parameter ${spec.name} is given twice`);
      this.#byName.set(spec.name, view);
      return view;
    });
    return { lrMultiplier, frozen, decay, flat, parameters, offsets };
  }

  /** The parameter of that name. @throws Error where there is none */
  get(name: string): Variable {
    const parameter = this.#byName.get(name);
    if (!parameter) throw new Error(`no parameter ${name}`);
    return parameter;
  }

  /** Whether there is a parameter of that name. */
  has(name: string): boolean {
    return this.#byName.has(name);
  }

  get all(): readonly Variable[] {
    return [...this.#byName.values()];
  }

  /** Number of trainable values, padding left out. */
  get count(): number {
    return this.all.reduce((sum, p) => sum + p.size, 0);
  }

  /** Current values by name. */
  async read(): Promise<Map<string, Float32Array>> {
    const values = new Map<string, Float32Array>();
    for (const { flat, parameters, offsets } of this.groups) {
      const data = await this.#engine.read(flat);
      parameters.forEach(({ name, shape, stored }, i) => {
        const start = offsets[i]!;
        values.set(name, unpadded(data.slice(start, start + sizeOf(stored)), shape, stored));
      });
    }
    return values;
  }

  /** Frees the values; what reads them must not run again. */
  free(): void {
    for (const { flat } of this.groups) this.#engine.free(flat);
  }

  /** As `free`, for `using`. */
  [Symbol.dispose](): void {
    this.free();
  }
}

/** Elements that a parameter takes. */
function spaceOf({ shape, stored = shape }: ParameterSpec): number {
  return Math.ceil(sizeOf(stored) / PARAMETER_ALIGNMENT) * PARAMETER_ALIGNMENT;
}

/** Cut, in order, where a group would exceed `limit` bytes. */
function bindable(specs: readonly ParameterSpec[], limit: number): ParameterSpec[][] {
  const groups: ParameterSpec[][] = [];
  let room = 0;
  for (const spec of specs) {
    const bytes = 4 * spaceOf(spec);
    if (bytes > room) {
      groups.push([]);
      room = limit;
    }
    groups.at(-1)!.push(spec);
    room -= bytes;
  }
  return groups;
}

/** Tensors of one shape follow each other, so that products with several of them can be one kernel. */
function alikeTogether(specs: readonly ParameterSpec[]): ParameterSpec[] {
  const shapes = [...new Set(specs.map(({ shape }) => String(shape)))];
  return shapes.flatMap((key) => specs.filter(({ shape }) => String(shape) === key));
}
