/**
 * Room: scripts. Writes `dist/`, what the npm package runs: one JavaScript file for each entry and shared chunks, by esbuild;
 * declarations beside them in `dist/types/`, by TypeScript itself, a file for a source.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { build } from 'esbuild';
import { ownAddresses } from '../bin/translate.js';

const ROOT = join(import.meta.dirname, '..');
const TYPES = join(ROOT, 'dist/types');

/** What can be imported, by the names of `exports` in package.json. `tsconfig.build.json` names the same files. */
const LIBRARY = {
  index: 'index.ts',
  engine: 'engine/index.ts',
  kernels: 'kernels/index.ts',
  data: 'data/index.ts',
  testing: 'engine/testing/index.ts',
};

/** WebGPU's globals and `Symbol.dispose` are part of the declarations: whoever imports them gets both. */
const REFERENCES = '/// <reference types="@webgpu/types" />\n/// <reference lib="esnext.disposable" />\n';

async function writeJavaScript(): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: { ...LIBRARY, cli: 'cli/main.ts' },
    outdir: 'dist',
    chunkNames: 'chunk-[hash]',
    bundle: true,
    splitting: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'warning',
    plugins: [ownAddresses(addressInPackage)],
  });
}

/** All files lie in `dist/`, so a source's place in the package is one folder up. */
function addressInPackage(path: string): string {
  const place = relative(ROOT, path).split(sep).join('/');
  return `new URL(${JSON.stringify(`../${place}`)}, import.meta.url).href`;
}

function writeDeclarations(): void {
  const { status } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json'], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error('tsc could not write the declarations');
  const entries = new Set(Object.values(LIBRARY).map((source) => join(TYPES, source.replace(/\.ts$/, '.d.ts'))));
  for (const name of readdirSync(TYPES, { recursive: true, encoding: 'utf8' })) {
    const path = join(TYPES, name);
    if (!path.endsWith('.d.ts')) continue;
    const text = readFileSync(path, 'utf8').replace(/(?<=(?:from |import\()['"]\.{1,2}\/[^'"]+)\.ts(?=['"])/g, '.js');
    writeFileSync(path, entries.has(path) ? REFERENCES + text : text);
  }
}

rmSync(join(ROOT, 'dist'), { recursive: true, force: true });
writeDeclarations();
await writeJavaScript();
