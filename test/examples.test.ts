/** Protects: every example runs as it stands, is short, and imports the package alone. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const EXAMPLES = readdirSync(join(ROOT, 'examples')).filter((file) => file.endsWith('.ts'));
const SCRIPTS = EXAMPLES.filter((file) => !file.endsWith('.test.ts'));

/** The last line that each prints. */
const PRINTS: Readonly<Record<string, RegExp>> = {
  'custom-gradient-control.ts': /step 10: sentiment [\d.]+, spam [\d.]+, weight [\d.]+, conflicts [\d.]+/,
  'custom-method.ts': /loaded and merged:.*accuracy/s,
  'custom-op.ts': /largest error of the gradient: [\d.e-]+/,
  'custom-score.ts': /50 % of the heads off:.*accuracy/s,
  'light-peft.ts': /\d+ % of the blocks are left.*tokens\/s/s,
  'lora.ts': /loaded again:.*accuracy/s,
};

it('there are six, and a test', () => {
  expect(SCRIPTS).toEqual(Object.keys(PRINTS));
  expect(EXAMPLES).toContain('kernel.test.ts');
});

describe.each(EXAMPLES)('%s', (file) => {
  const source = readFileSync(join(ROOT, 'examples', file), 'utf8');

  it('is under 60 lines and imports only the package', () => {
    expect(source.trimEnd().split('\n').length).toBeLessThan(60);
    const imported = [...source.matchAll(/from '([^']+)'/g)].map(([, name]) => name!);
    expect(imported.filter((name) => !/^light-peft(\/|$)/.test(name) && name !== 'vitest')).toEqual([]);
  });
});

it.each(SCRIPTS)('%s runs', { timeout: 240_000 }, async (file) => {
  const argv = ['--import', 'tsx', join('examples', file), file === 'custom-gradient-control.ts' ? '10' : '4'];
  const { stdout } = await promisify(execFile)(process.execPath, argv, { cwd: ROOT });
  expect(stdout).toMatch(PRINTS[file]!);
  const error = /largest error of the gradient: (\S+)/.exec(stdout)?.[1];
  if (error !== undefined) expect(Number(error)).toBeLessThan(1e-4);
});
