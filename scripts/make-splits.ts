/**
 * Writes the published splits `data/splits/<task>.json` from the installed packages:
 * `npx tsx scripts/make-splits.ts`. Deterministic; run it again only when a task's text or its cleaning changes.
 */
import { fileURLToPath } from 'node:url';
import { writeFileAtomic } from '../engine/io/files.ts';
import { formatSplits, makeSplits } from '../data/splits.ts';
import { rawItems, TASK_NAMES } from '../data/tasks.ts';

for (const task of TASK_NAMES) {
  const items = await rawItems(task);
  const splits = makeSplits(items);
  const path = fileURLToPath(new URL(`../data/splits/${task}.json`, import.meta.url));
  await writeFileAtomic(path, formatSplits(splits));
  const { train, validation, test } = splits;
  const kept = train.length + validation.length + test.length;
  console.log(
    `${task}: ${items.length} texts, ${items.length - kept} empty or near-duplicates; ` +
      `train ${train.length}, validation ${validation.length}, test ${test.length}`,
  );
}
