/** Room: scripts. Writes `docs/schemas/`: `npm run schemas`. Run it when a format changes; a test tells. */
import { join } from 'node:path';
import { writeFileAtomic } from '../engine/io/files.ts';
import { FORMATS, schemaText } from '../experiments/formats.ts';

for (const format of FORMATS) {
  const path = join('docs', 'schemas', `${format.name}.schema.json`);
  await writeFileAtomic(path, schemaText(format));
  console.log(path);
}
