/** Room: peft-model. The head that a checkpoint was saved with: kept where it is for the same classes. */
import { sameShape, sizeOf } from '../engine/graph/shape.ts';
import { warn } from '../engine/warnings.ts';
import { agreedNames } from '../data/labels.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import { savedHead } from '../models/config.ts';
import { openWeights } from '../models/resized-file.ts';
import { headShapes } from '../models/heads.ts';
import { storedName } from '../models/weights.ts';
import type { StateDict } from '../peft/module.ts';
import type { TaskHead } from './task-heads.ts';

/**
 * Values of a checkpoint's own head, in the order of the class names given. A head that is not for these classes is warned about.
 * @returns undefined where there is none, or none for these classes
 */
export async function readOwnHead({ dir, config }: Checkpoint, task: TaskHead): Promise<StateDict | undefined> {
  const { head, labels } = task;
  const shapes = headShapes(config, head, labels.length);
  if (savedHead(config) !== head || shapes.size === 0) return undefined;
  const own = config.labels;
  if (head === 'classification' && !agreedNames(labels, own)) {
    warn(`${dir}: its head is for ${classes(own)}, the data has ${classes(labels)}: a new head is drawn`);
    return undefined;
  }
  const values = new Map<string, Float32Array>();
  const file = await openWeights(dir, config);
  try {
    for (const [name, shape] of shapes) {
      const stored = storedName(file, name, config);
      if (stored === undefined || !sameShape(file.info(stored).shape, shape)) {
        warn(`${dir}: it has no ${name} of its head's shape: a new head is drawn`);
        return undefined;
      }
      values.set(name, await file.readFloat32(stored));
    }
  } finally {
    await file.close();
  }
  return head === 'classification' ? inOrder(values, shapes, orderOf(labels, own)) : values;
}

function classes(names: readonly string[]): string {
  const shown = names.slice(0, 6).join(', ');
  return `${names.length} classes (${shown}${names.length > 6 ? ' …' : ''})`;
}

/** For each class its row in the head's last layer. */
function orderOf(labels: readonly string[], own: readonly string[]): readonly number[] {
  return labels.every((label) => own.includes(label)) ? labels.map((l) => own.indexOf(l)) : labels.map((_, i) => i);
}

/** The last layer's rows by class; those of other layers are no classes. */
function inOrder(
  values: StateDict,
  shapes: ReturnType<typeof headShapes>,
  order: readonly number[],
): Map<string, Float32Array> {
  const last = [...shapes.keys()].findLast((name) => name.endsWith('.weight'))!.replace(/weight$/, '');
  return new Map(
    [...values].map(([name, value]) => {
      if (!name.startsWith(last)) return [name, value];
      const width = sizeOf(shapes.get(name)!) / order.length;
      const sorted = new Float32Array(value.length);
      order.forEach((row, i) => sorted.set(value.subarray(row * width, (row + 1) * width), i * width));
      return [name, sorted];
    }),
  );
}
