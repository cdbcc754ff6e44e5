/** Room: peft-model. `labels.json`: the class names of a classifier, in the order of its head's outputs. */
import { z } from 'zod';
import { header, readVersioned, writeVersioned, type VersionedFormat } from '../engine/io/versioned.ts';

export const labelsSchema = z.strictObject({
  ...header('light-peft/labels', 1),
  labels: z.array(z.string()).min(1),
});

const LABELS: VersionedFormat<z.infer<typeof labelsSchema>> = {
  format: 'light-peft/labels',
  version: 1,
  schema: labelsSchema,
  unversioned: (found) => (Array.isArray(found) ? { labels: found } : undefined),
};

export function writeLabels(path: string, labels: readonly string[]): Promise<void> {
  return writeVersioned(path, LABELS, { labels: [...labels] });
}

/** @throws UserError as `readVersioned` */
export async function readLabelFile(path: string): Promise<readonly string[]> {
  return (await readVersioned(path, LABELS)).labels;
}
