/**
 * Room: peft-model. Several tasks' heads on the same modules. The first is the model's own, under the names that every model has it; the
 * others' weights have the task before their names. On disk they are in `task_heads.json` and `task_heads.safetensors`, beside PEFT's files,
 * which hold the first.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { option, UserError } from '../engine/errors.ts';
import { exists } from '../engine/io/files.ts';
import { openSafetensors, writeSafetensors } from '../engine/io/safetensors.ts';
import { header, readVersioned, writeVersioned, type VersionedFormat } from '../engine/io/versioned.ts';
import { didYouMean } from '../engine/nearest.ts';
import type { Shape } from '../engine/graph/shape.ts';
import { HEAD_KINDS, type HeadKind, type ModelConfig } from '../models/architecture.ts';
import { headShapes } from '../models/heads.ts';
import { valueOf, type StateDict } from '../peft/module.ts';

/** A task head, and the names of its classes. */
export interface TaskHead {
  readonly head: HeadKind;
  /** Class names by index; one for a number to predict, none where the head's outputs are no classes. */
  readonly labels: readonly string[];
}

/** One of several heads. */
export interface NamedHead extends TaskHead {
  /** The task's. */
  readonly name: string;
}

/** The name of a weight of a further task's head. */
export function taskWeight(task: string, weight: string): string {
  return `${task}:${weight}`;
}

/** Weights of all heads but the first, by their names among all that trains. */
export function furtherHeadShapes(config: ModelConfig, heads: readonly NamedHead[] = []): Map<string, Shape> {
  return new Map(
    heads.slice(1).flatMap(({ name: task, head, labels }) => {
      const own = [...headShapes(config, head, labels.length)];
      return own.map(([name, shape]) => [taskWeight(task, name), shape] as const);
    }),
  );
}

/** Kinds that one base can carry together: none brings weights of its own that train with the base. */
const TOGETHER: readonly HeadKind[] = ['classification', 'multiple-choice', 'question-answering'];

/**
 * The kind of head that a base is loaded for, to carry all of these.
 * @throws UserError for heads of kinds that exclude each other, and two of one name
 */
export function commonKind(heads: readonly NamedHead[]): HeadKind {
  const [first] = heads as readonly [NamedHead];
  const twice = heads.find(({ name }, i) => heads.findIndex((other) => other.name === name) !== i);
  if (twice) throw new UserError(`two tasks are called "${twice.name}"; name them NAME=FILE`);
  const kinds = [...new Set(heads.map(({ head }) => head))];
  const other = kinds.find(
    (kind) => kind !== first.head && !(TOGETHER.includes(kind) && TOGETHER.includes(first.head)),
  );
  if (other !== undefined)
    throw new UserError(`tasks of heads for ${first.head} and for ${other} cannot be learned together`);
  return TOGETHER.find((kind) => kinds.includes(kind)) ?? first.head;
}

/** A task among several, with near names. @throws UserError for one that there is not */
export function headNamed(heads: readonly NamedHead[], name: string, where: string): NamedHead {
  const found = heads.find((head) => head.name === name);
  if (found) return found;
  const names = heads.map((head) => head.name);
  const expected = names.length === 0 ? 'it has one head, without a name' : `expected one of ${names.join(', ')}`;
  throw new UserError(`${where}: ${option('taskHead')}: found "${name}"${didYouMean(name, names)}, ${expected}`);
}

export const taskHeadsSchema = z.strictObject({
  ...header('light-peft/task-heads', 1),
  heads: z
    .array(z.strictObject({ name: z.string().min(1), head: z.enum(HEAD_KINDS), labels: z.array(z.string()) }))
    .min(2),
});

const HEADS: VersionedFormat<z.infer<typeof taskHeadsSchema>> = {
  format: 'light-peft/task-heads',
  version: 1,
  schema: taskHeadsSchema,
};

const FILES = { list: 'task_heads.json', weights: 'task_heads.safetensors' } as const;

/** Writes the heads of a folder; removes those that were there where there are none. */
export async function writeTaskHeads(
  dir: string,
  config: ModelConfig,
  heads: readonly NamedHead[] | undefined,
  values: StateDict,
): Promise<void> {
  if (!heads) {
    for (const name of Object.values(FILES)) await rm(join(dir, name), { force: true });
    return;
  }
  const tensors = [...furtherHeadShapes(config, heads)].map(([name, shape]) => ({
    name,
    dtype: 'F32' as const,
    shape,
    data: valueOf(values, name),
  }));
  await writeSafetensors(join(dir, FILES.weights), tensors, {});
  const list = heads.map(({ name, head, labels }) => ({ name, head, labels: [...labels] }));
  await writeVersioned(join(dir, FILES.list), HEADS, { heads: list });
}

/** Names of the heads in an adapter's folder; none where it has one head. */
export async function taskHeadNames(dir: string): Promise<readonly string[]> {
  const path = join(dir, FILES.list);
  return (await exists(path)) ? (await readVersioned(path, HEADS)).heads.map(({ name }) => name) : [];
}

/** The heads of a folder, and the values of all but the first; none where it has one head. */
export async function readTaskHeads(
  dir: string,
  config: ModelConfig,
): Promise<{ readonly heads: readonly NamedHead[]; readonly values: StateDict } | undefined> {
  const path = join(dir, FILES.list);
  if (!(await exists(path))) return undefined;
  const { heads } = await readVersioned(path, HEADS);
  const file = await openSafetensors(join(dir, FILES.weights));
  try {
    const values = new Map<string, Float32Array>();
    for (const [name, shape] of furtherHeadShapes(config, heads)) {
      values.set(name, await file.readFloat32(name, [...shape]));
    }
    return { heads, values };
  } finally {
    await file.close();
  }
}
