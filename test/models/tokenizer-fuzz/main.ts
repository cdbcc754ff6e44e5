/**
 * Tests only: `npm run tokenizers`. Seeded texts through tokenizers of all components, beside the Python bindings of the Rust library,
 * which need `pip install tokenizers`. Every id, type id, offset and decoded text must be the same. `--write` stores the digests that
 * test/models/tokenizer-library.test.ts compares.
 */
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { preview } from '../../../engine/io/files.ts';
import { loadTokenizer } from '../../../models/tokenizer.ts';
import { DIGESTS, digestOf, storedTexts } from './digests.ts';
import { KINDS, tokenizerJson } from './kinds.ts';
import { ASKED, outcomes } from './outcome.ts';
import { fuzzTexts } from './texts.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    texts: { type: 'string', default: '10000' },
    python: { type: 'string', default: 'python3' },
    write: { type: 'boolean', default: false },
  },
});
const asked = values.write ? [] : fuzzTexts(Number(values.seed), Number(values.texts));
const textsOf = (number: number): string[] => (values.write ? storedTexts(number) : asked);
const folder = await mkdtemp(join(tmpdir(), 'light-peft-tokenizers-'));
const numbers = Array.from({ length: KINDS }, (_, number) => number);
const folderOf = (number: number): string => join(folder, String(number));
const reference = (number: number): Promise<string> => readFile(join(folderOf(number), 'lines'), 'utf8');
let faults = 0;

try {
  for (const number of numbers) {
    await mkdir(folderOf(number));
    const texts = textsOf(number).map((text) => text.toWellFormed());
    await writeFile(join(folderOf(number), 'texts.json'), JSON.stringify(texts));
    await writeFile(join(folderOf(number), 'tokenizer.json'), JSON.stringify(tokenizerJson(number)));
  }
  const { status } = spawnSync(values.python, [join(import.meta.dirname, 'reference.py'), folder], {
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`${values.python} could not run the reference; give another with --python`);
  for (const number of numbers) await compare(number);
  if (values.write) {
    const digests = await Promise.all(numbers.map(async (number) => digestOf(await reference(number))));
    await writeFile(DIGESTS, `${JSON.stringify(digests, null, 2)}\n`);
  }
} finally {
  await rm(folder, { recursive: true });
}
console.log(`${KINDS} tokenizers, ${textsOf(0).length} texts each: ${faults} differences`);
process.exitCode = faults === 0 ? 0 : 1;

async function compare(number: number): Promise<void> {
  const expected = (await reference(number)).split('\n');
  const texts = textsOf(number);
  const found = await outcomes(await loadTokenizer(folderOf(number)), texts);
  const wrong = found.flatMap((line, i) => (line === expected[i] ? [] : [i]));
  faults += wrong.length;
  const refused = found.filter((line) => line === '"refused"').length;
  console.log(`${number}: ${wrong.length} differences${refused > 0 ? `, ${refused} texts refused by both` : ''}`);
  for (const i of wrong.slice(0, 1)) console.log(`  ${preview(texts[i])}: ${difference(found[i]!, expected[i]!)}`);
}

/** Where two lines differ first. */
function difference(found: string, expected: string): string {
  const [a, b] = [found, expected].map((line) => JSON.parse(line) as readonly unknown[]);
  const at = ASKED.findIndex((_, i) => JSON.stringify(a![i]) !== JSON.stringify(b![i]));
  return `${ASKED[at]} is ${JSON.stringify(a![at])}, expected ${JSON.stringify(b![at])}`;
}
