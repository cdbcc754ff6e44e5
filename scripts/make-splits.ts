/**
 * Writes the published splits `data/tasks/splits/<task>.json` from the installed packages:
 * `npx tsx scripts/make-splits.ts`. Deterministic; run it again only when a task's text or its cleaning changes.
 */
import { fileURLToPath } from 'node:url';
import { writeFileAtomic } from '../engine/io/files.ts';
import { formatSplits, makeSplits } from '../data/tasks/splits.ts';
import { rawItems, BUILT_IN_NAMES } from '../data/tasks/built-in.ts';

for (const task of BUILT_IN_NAMES) {
  const items = await rawItems(task);
  const splits = makeSplits(items);
  const path = fileURLToPath(new URL(`../data/tasks/splits/${task}.json`, import.meta.url));
  await writeFileAtomic(path, formatSplits(splits));
  const { train, validation, test } = splits;
  const kept = train.length + validation.length + test.length;
  console.log(
    `${task}: ${items.length} texts, ${items.length - kept} empty or near-duplicates; ` +
      `train ${train.length}, validation ${validation.length}, test ${test.length}`,
  );
}
