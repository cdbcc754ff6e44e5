/**
 * Protects: what `npm pack` gives works where it is installed: the command in a folder of the user's own, imports from JavaScript, types
 * for TypeScript. Nothing in `node_modules` is written after the installation, and no package of the checkout is needed.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };

const ROOT = join(import.meta.dirname, '../..');
const ENTRIES = Object.keys(manifest.exports)
  .filter((name) => !name.endsWith('.json'))
  .map((name) => name.replace('.', 'light-peft'));
const NPM_FLAGS = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];

let project: string;
let packed: string[];
let installed: string;

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'light-peft-package-'));
  const [archive] = JSON.parse(npm(ROOT, 'pack', '--json', `--pack-destination=${project}`)) as [
    { readonly filename: string; readonly files: readonly { readonly path: string }[] },
  ];
  packed = archive.files.map(({ path }) => path);
  writeFileSync(join(project, 'package.json'), '{ "private": true }');
  npm(project, 'install', ...NPM_FLAGS, join(project, archive.filename));
  setWritable(false);
  installed = contentOf('node_modules');
  cpSync(join(ROOT, 'test/goldens/roberta/model'), join(project, 'model'), { recursive: true });
  for (const name of ['data', 'eval'])
    cpSync(join(ROOT, `test/fixtures/version-0.1/${name}.jsonl`), join(project, `${name}.jsonl`));
}, 180_000);

afterAll(() => {
  setWritable(true);
  rmSync(project, { recursive: true });
});

function npm(cwd: string, ...args: string[]): string {
  return execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

function setWritable(writable: boolean): void {
  execFileSync('chmod', ['-R', writable ? 'u+w' : 'a-w', join(project, 'node_modules')]);
}

/** Name, size and time of every file of a folder. Permissions do not bind root, so that nothing changed is checked too. */
function contentOf(folder: string): string {
  const names = readdirSync(join(project, folder), { recursive: true, encoding: 'utf8' }).sort();
  return names
    .map((name) => {
      const { size, mtimeMs } = statSync(join(project, folder, name));
      return `${name} ${size} ${mtimeMs}`;
    })
    .join('\n');
}

function lightPeft(...args: string[]): {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
} {
  return spawnSync('npx', ['light-peft', ...args], { cwd: project, encoding: 'utf8', input: '' });
}

describe('the archive', () => {
  it('holds what runs and its licences, and nothing of tests or development', () => {
    expect(packed).toEqual(
      expect.arrayContaining([
        'LICENSE',
        'NOTICE',
        'README.md',
        'bin/light-peft.js',
        'dist/cli.js',
        'dist/index.js',
        'dist/types/index.d.ts',
        'scripts/driver.sh',
      ]),
    );
    const rooms = new Set(packed.filter((path) => path.includes('/')).map((path) => path.split('/')[0]));
    expect([...rooms].sort()).toEqual(['bin', 'data', 'dist', 'scripts']);
    expect(packed.filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))).toEqual([]);
  });
});

describe('the command', () => {
  it('helps', () => {
    expect(lightPeft('--help')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('Usage: light-peft') as string,
    });
    expect(lightPeft('--version').stdout.trim()).toBe(manifest.version);
  });

  it('checks the machine', () => {
    const { status, stdout } = lightPeft('doctor');
    expect(status).toBe(0);
    expect(stdout).toContain('Self-check  passed');
  });

  it('runs on the user’s files, and says how its page is had', () => {
    const files = ['--model', 'model', '--train', 'data.jsonl', '--eval', 'eval.jsonl', '--out', 'out'];
    const steps = ['--estimate-steps', '2', '--steps', '2', '--batch-size', '4', '--methods', 'light-peft'];
    const { status, stdout } = lightPeft('run', ...files, ...steps);
    expect(status).toBe(0);
    expect(stdout).toContain(join('out', 'comparison.json'));
    expect(stdout).toContain('npm install vega@');
    expect(readdirSync(join(project, 'out'))).toContain('comparison.json');
  });

  it.each(['sentiment', 'spam'])('names the package that --task %s needs', (task) => {
    const { status, stderr } = lightPeft('run', '--model', 'model', '--task', task, '--out', 'out/task');
    expect(status).toBe(2);
    expect(stderr).toMatch(/: not installed; `npm install \S+@\d\S+` does it\n$/);
  });
});

describe('the library', () => {
  it('is imported from JavaScript', () => {
    const imports = ENTRIES.map((name) => `await import('${name}')`).join(', ');
    writeFileSync(
      join(project, 'use.mjs'),
      `const entries = [${imports}];
       const engine = await entries[0].Engine.open();
       engine.close();
       console.log(entries.map((entry) => Object.keys(entry).length > 0).join());`,
    );
    const printed = execFileSync(process.execPath, ['use.mjs'], { cwd: project, encoding: 'utf8', stdio: 'pipe' });
    expect(printed.trim()).toBe(ENTRIES.map(() => 'true').join());
  });

  it.each([
    // WebGPU's own types need those of the DOM, which the default `lib` has, or must not be checked.
    { module: 'nodenext', moduleResolution: 'nodenext' },
    { module: 'esnext', moduleResolution: 'bundler', lib: ['es2022'], skipLibCheck: true },
  ])('has whole types under moduleResolution $moduleResolution, WebGPU’s among them', (options) => {
    const imports = ENTRIES.map((name, i) => `import * as entry${i} from '${name}';\nexport { entry${i} };`);
    writeFileSync(
      join(project, 'use.mts'),
      `${imports.join('\n')}
       export const engine: entry0.Engine = await entry0.Engine.open();
       export const device: GPUDevice = engine.device;
       // @ts-expect-error a device is no number
       export const wrong: number = engine.device;`,
    );
    const compilerOptions = { ...options, noEmit: true, strict: true, target: 'es2022', types: [] };
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['use.mts'] }));
    const { status, stdout } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), { cwd: project, encoding: 'utf8' });
    expect(stdout).toBe('');
    expect(status).toBe(0);
  });
});

it('writes nothing into node_modules', () => {
  expect(contentOf('node_modules')).toBe(installed);
});
