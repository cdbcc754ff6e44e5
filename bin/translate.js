/**
 * Room: bin. The command as one JavaScript file, translated from its TypeScript sources whenever they change. Imported file by
 * file through a translator, they would take a second of every start.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What the command is made of. */
export const ROOMS = [
  'bin',
  'cli',
  'sweep',
  'audit',
  'experiments',
  'report',
  'pretrain',
  'generate',
  'train',
  'peft-model',
  'pruning',
  'data',
  'peft',
  'models',
  'engine',
  'kernels',
];

/**
 * Translates what is in `root` unless that has been done.
 * @param {string} root the folder of `package.json`
 * @returns {Promise<string>} the path of the translated command, in `.cache`
 */
export async function translate(root) {
  const folder = join(root, '.cache');
  const name = `cli-${await versionOf(root)}.mjs`;
  await mkdir(folder, { recursive: true });
  const present = (await readdir(folder)).filter((file) => /^cli-[\da-f]+\.mjs$/.test(file));
  if (!present.includes(name)) {
    await bundle(root, join(folder, name));
    for (const old of present) await rm(join(folder, old), { force: true });
  }
  return join(folder, name);
}

/**
 * Names the state of the sources by their sizes and times.
 * @param {string} root
 */
async function versionOf(root) {
  const listed = await Promise.all(ROOMS.map((room) => filesOf(root, room)));
  const hash = createHash('sha256').update(JSON.stringify([process.version, ...listed.flat().sort()]));
  return hash.digest('hex').slice(0, 16);
}

/**
 * @param {string} root
 * @param {string} room
 * @returns {Promise<string[]>} a line a source
 */
async function filesOf(root, room) {
  const files = (await readdir(join(root, room), { recursive: true })).filter((file) => /\.[tj]s$/.test(file));
  return Promise.all(
    files.map(async (file) => {
      const { size, mtimeMs } = await stat(join(root, room, file));
      return `${room}/${file} ${size} ${mtimeMs}`;
    }),
  );
}

/**
 * Several processes may do this at once: each writes a file of its own, and the last name wins.
 * @param {string} root
 * @param {string} to
 */
async function bundle(root, to) {
  const { build } = await import('esbuild');
  const draft = `${to}.${randomUUID()}.tmp`;
  await build({
    entryPoints: [join(root, 'cli', 'main.ts')],
    outfile: draft,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    sourcesContent: false,
    logLevel: 'silent',
    plugins: [ownAddresses((path) => JSON.stringify(pathToFileURL(path).href))],
  });
  await rename(draft, to);
}

/**
 * A source finds files beside it by its own address, which a bundle does not have.
 * @param {(path: string) => string} addressOf gives JavaScript that stands for the `import.meta.url` of the source at `path`
 * @returns {import('esbuild').Plugin}
 */
export function ownAddresses(addressOf) {
  return {
    name: 'own addresses',
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
        const source = await readFile(path, 'utf8');
        return { loader: 'ts', contents: source.replaceAll('import.meta.url', addressOf(path)) };
      });
    },
  };
}
