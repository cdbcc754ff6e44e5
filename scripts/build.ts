/**
 * Room: scripts. Writes `dist/`, what the npm package runs: one JavaScript file for each entry and shared chunks, by esbuild;
 * declarations beside them in `dist/types/`, by TypeScript itself, a file for a source.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, relative, sep } from 'node:path';
import { build, type Metafile } from 'esbuild';
import manifest from '../package.json' with { type: 'json' };
import { ownAddresses } from '../bin/translate.js';
import { hashOf, type BuiltSources } from '../sweep/sources.ts';

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

const ENTRIES = { ...LIBRARY, cli: 'cli/main.ts' };

/** Packages that an installation has, and those that it may have: only what is imported dynamically may need them. */
const ALWAYS_THERE = new Set(Object.keys(manifest.dependencies));
const MAY_BE_THERE = new Set([...ALWAYS_THERE, ...Object.keys(manifest.peerDependencies)]);

/** WebGPU's globals and `Symbol.dispose` are part of the declarations: whoever imports them gets both. */
const REFERENCES = '/// <reference types="@webgpu/types" />\n/// <reference lib="esnext.disposable" />\n';

/** @throws Error where a file needs a package that an installation of this one may lack */
async function writeJavaScript(): Promise<void> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ENTRIES,
    outdir: 'dist',
    chunkNames: 'chunk-[hash]',
    bundle: true,
    splitting: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'warning',
    metafile: true,
    plugins: [ownAddresses(addressInPackage)],
  });
  const first = Object.keys(ENTRIES).map((name) => `dist/${name}.js`);
  for (const file of loadedWith(first, metafile)) checkPackages(file, metafile, ALWAYS_THERE);
  for (const file of Object.keys(metafile.outputs)) checkPackages(file, metafile, MAY_BE_THERE);
}

/** Files and what they import at once, dynamic imports left out. */
function loadedWith(files: readonly string[], { outputs }: Metafile): ReadonlySet<string> {
  const found = new Set(files);
  // A set visits what is added meanwhile.
  for (const file of found) {
    for (const { path, kind, external } of outputs[file]!.imports)
      if (kind === 'import-statement' && !external) found.add(path);
  }
  return found;
}

/** @throws Error where a file imports a package that is not among `allowed` */
function checkPackages(file: string, { outputs }: Metafile, allowed: ReadonlySet<string>): void {
  for (const { path, kind, external } of outputs[file]!.imports) {
    const asked = external && !isBuiltin(path) && (allowed === MAY_BE_THERE || kind === 'import-statement');
    if (asked && !allowed.has(packageOf(path)))
      throw new Error(`${file} imports ${path}, which package.json does not name as a dependency of its kind`);
  }
}

/** `csv-parse` of `csv-parse/sync`. */
function packageOf(path: string): string {
  return path
    .split('/')
    .slice(0, path.startsWith('@') ? 2 : 1)
    .join('/');
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

/** What a package has in place of sources, whose hash tells workers of a sweep apart. */
async function writeSources(): Promise<void> {
  const hashes = { run: await hashOf(ROOT, 'run'), audit: await hashOf(ROOT, 'audit') };
  writeFileSync(join(ROOT, 'dist', 'sources.json'), `${JSON.stringify(hashes satisfies BuiltSources)}\n`);
}

rmSync(join(ROOT, 'dist'), { recursive: true, force: true });
writeDeclarations();
await writeJavaScript();
await writeSources();
