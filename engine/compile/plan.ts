/** Room: engine/compile. From results to kernels and the memory they run in: all of a program that needs no buffer or pipeline. */
import type { DeviceTraits, DType } from '../../kernels/kernel.ts';
import { selectDefault, type ConfigSelector } from '../../kernels/config.ts';
import type { MemoryLimits } from '../device/memory.ts';
import type { Shape } from '../graph/shape.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Update } from './graph.ts';
import { assertBindable } from './limits.ts';
import { lower, type Dispatch } from './lower.ts';
import { planMemory } from './memory-planner.ts';
import { orderGroups, type OrderOptions } from './order.ts';
import type { Block, Place } from './place.ts';

/** A value given anew at every run. */
export interface InputSpec {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** How a program is compiled. */
export interface CompileOptions extends OrderOptions {
  /** Names a config where a kernel has several; the generators' own defaults unless given. */
  readonly selectConfig?: ConfigSelector | undefined;
}

/** What a program is to compute. */
export interface Request {
  /** Shown in errors and profiles. */
  readonly name: string;
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly updates: readonly Update[];
}

export interface ProgramPlan extends Pick<Request, 'name' | 'inputs'> {
  /** Root tensors of the outputs. */
  readonly outputs: ReadonlyMap<string, Tensor>;
  readonly dispatches: readonly Dispatch[];
  readonly places: ReadonlyMap<Tensor, Place>;
  readonly arenaBytes: number;
  readonly timeline: readonly number[];
  readonly blocks: readonly Block[];
  readonly saved: number;
}

/** @throws TooLargeError where a kernel would bind more than the device can */
export function planProgram(
  { name, inputs, outputs, updates }: Request,
  { traits, limits }: { readonly traits: DeviceTraits; readonly limits: MemoryLimits },
  options: CompileOptions = {},
): ProgramPlan {
  const results = { outputs: Object.values(outputs), updates };
  const { graph, groups, contiguous } = orderGroups(results, traits, limits, options);
  const { inPlace, ...memory } = planMemory(graph, { groups, contiguous }, limits.maxBufferSize);
  const dispatches = groups.map((group, i) =>
    lower(graph, group, inPlace[i] ?? new Map(), traits, options.selectConfig ?? selectDefault),
  );
  assertBindable(name, dispatches, limits);
  return {
    name,
    inputs,
    outputs: new Map(Object.entries(outputs).map(([key, tensor]) => [key, graph.root(tensor)])),
    dispatches,
    ...memory,
    saved: [...graph.saved()].reduce((sum, { bytes }) => sum + bytes, 0),
  };
}
