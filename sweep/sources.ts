/** Room: sweep. A hash of everything that can change a number of a trial: what two machines, and two days, must have in common. */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { fingerprintText } from '../engine/io/fingerprint.ts';
import { readJson } from '../engine/io/files.ts';
import type { SweepFile } from '../report/sweep/schema.ts';

/** Rooms and files whose code works on numbers. */
const NUMERIC = [
  ...['kernels', 'engine', 'models', 'peft', 'data', 'pruning', 'peft-model', 'train'],
  'experiments/runner.ts',
  'experiments/options.ts',
];

/** Packages that work on numbers. */
const PACKAGES = ['webgpu', 'tokenizers'] as const;

const manifestSchema = z.object({ dependencies: z.record(z.string(), z.string()) });

/** Where the package keeps what its build has found: it has no sources. */
const BUILT = 'dist/sources.json';

/** By what a trial is: `audit` has a room of its own, the other commands share theirs. */
const builtSourcesSchema = z.strictObject({ run: z.string(), audit: z.string() });

export type BuiltSources = z.infer<typeof builtSourcesSchema>;

/** @returns `sha256:` and 64 hex digits */
export async function sourcesHash(command: SweepFile['command']): Promise<string> {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const kind = command === 'audit' ? 'audit' : 'run';
  if (!existsSync(join(root, 'engine'))) return (await readJson(join(root, BUILT), builtSourcesSchema))[kind];
  return hashOf(root, kind);
}

/** Of a checkout. */
export async function hashOf(root: string, kind: 'run' | 'audit'): Promise<string> {
  const { dependencies } = await readJson(join(root, 'package.json'), manifestSchema);
  const places = kind === 'audit' ? [...NUMERIC, 'audit'] : NUMERIC;
  const files = await Promise.all(places.map((place) => filesOf(root, place)));
  const parts = await Promise.all(
    files
      .flat()
      .sort()
      .map(
        async (path) =>
          `${path} ${fingerprintText((await readFile(join(root, path), 'utf8')).replaceAll('\r\n', '\n'))}`,
      ),
  );
  return fingerprintText([...PACKAGES.map((name) => `${name} ${dependencies[name]}`), ...parts].join('\n'));
}

async function filesOf(root: string, place: string): Promise<string[]> {
  if (place.endsWith('.ts')) return [place];
  const names = await readdir(join(root, place), { recursive: true });
  return names.filter((name) => /\.(ts|json)$/.test(name)).map((name) => `${place}/${name.replaceAll('\\', '/')}`);
}
