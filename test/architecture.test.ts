/** Protects: imports point one way, files say where they belong and stay short, nothing of one machine gets in. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { ROOMS } from '../bin/translate.js';

const ROOT = join(import.meta.dirname, '..');

/** Left to right: a file imports from its own room or one of a higher level. Rooms of one level don't see each other. */
const LEVELS = [
  ['cli', 'bench'],
  ['experiments'],
  ['report', 'pretrain', 'generate'],
  ['train'],
  ['peft-model'],
  ['pruning'],
  ['data'],
  ['peft'],
  ['models'],
  ['engine'],
  ['kernels'],
];
const LEVEL_OF = new Map(LEVELS.flatMap((rooms, level) => rooms.map((room) => [room, level] as const)));

const MAX_LINES = 500;

/** What belongs to a machine, or is unfinished. */
const FORBIDDEN: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['an absolute path of one machine', /(?<![\w.~}/*-])\/(?:root|home|Users|work|workspace|mnt)\/\w/],
  ['a private host', /https?:\/\/(?:[\w.-]+\.(?:internal|local|lan|corp)\b|(?!127\.)\d+\.\d+\.\d+\.\d+)/],
  ['a note of unfinished work', /\b(?:TO[D]O|FIX[M]E|XX[X])\b/],
  ['a merge conflict', /^(?:<{7}|>{7}) /m],
];
const FORBIDDEN_IN_TESTS = ['a test left out or singled out', /\b(?:it|test|describe)\.(?:skip|only|todo)\b/] as const;
const FORBIDDEN_IN_LOCK = ['a registry’s address', /"resolved"/] as const;

const tracked = execFileSync('git', ['-c', 'safe.directory=*', 'ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' })
  .split('\0')
  .filter((path) => path !== '' && existsSync(join(ROOT, path)));
// JSON in folders is data.
const texts = tracked.filter((path) => /(\.(ts|js|sh|md|ya?ml|wgsl|html)|^[^/]+\.json|(^|\/)[^.]+)$/.test(path));
const sources = tracked.filter((path) => path.endsWith('.ts') && LEVEL_OF.has(roomOf(path)));

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** The top-level folder of a path relative to the root. */
function roomOf(path: string): string {
  return path.split('/')[0]!;
}

/** Module specifiers of static and dynamic imports and re-exports, types' too. */
function importsOf(source: string): string[] {
  return ts.preProcessFile(source, true, true).importedFiles.map((file) => file.fileName);
}

/** Says what is wrong with a file's import, or nothing. */
function judgeImport(path: string, specifier: string): string | undefined {
  const room = roomOf(path);
  if (!specifier.startsWith('.')) {
    return room === 'kernels' ? `${path} imports ${specifier}; kernels are pure and import nothing` : undefined;
  }
  const target = roomOf(posix.join(posix.dirname(path), specifier));
  if (target === room) return undefined;
  const level = LEVEL_OF.get(target);
  if (level === undefined) return `${path} imports ${specifier}, which is in no room (${target})`;
  return level > LEVEL_OF.get(room)! ? undefined : `${path} imports ${specifier}; ${room} may not import ${target}`;
}

const judgeImports = (path: string, source: string) => importsOf(source).flatMap((s) => judgeImport(path, s) ?? []);

/** Files that import each other in a ring, if any do. @param imports what each file imports */
function findRing(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const visit = (path: string, above: readonly string[]): string[] => {
    if (above.includes(path)) return above.slice(above.indexOf(path));
    if (done.has(path)) return [];
    done.add(path);
    for (const next of imports.get(path) ?? []) {
      const ring = visit(next, [...above, path]);
      if (ring.length > 0) return ring;
    }
    return [];
  };
  for (const path of imports.keys()) {
    const ring = visit(path, []);
    if (ring.length > 0) return ring;
  }
  return [];
}

/**
 * What each folder imports from other folders. A folder and the folders in it count as one: imports between them say nothing of
 * which stands above the other.
 * @param imports what each file imports
 */
function importsOfFolders(imports: ReadonlyMap<string, readonly string[]>): Map<string, string[]> {
  const isWithin = (a: string, b: string): boolean => `${a}/`.startsWith(`${b}/`);
  const folders = new Map<string, Set<string>>();
  for (const [path, targets] of imports) {
    const from = posix.dirname(path);
    const others = targets
      .map((target) => posix.dirname(target))
      .filter((to) => !isWithin(from, to) && !isWithin(to, from));
    folders.set(from, new Set([...(folders.get(from) ?? []), ...others]));
  }
  return new Map([...folders].map(([folder, others]) => [folder, [...others]]));
}

const filesImportedBy = (path: string): string[] =>
  importsOf(read(path))
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => posix.join(posix.dirname(path), specifier));

/** Says what is wrong with the `Room: …` of a file's first comment, or nothing. */
function judgeHeader(path: string, source: string): string | undefined {
  const stated = /^(?:#!.*\n)?\/\*\*(?:\n \*)? Room: ([\w/-]+)/.exec(source)?.[1];
  if (stated === undefined) return `${path} does not begin with a comment "Room: ${dirname(path)}. …"`;
  const contains = `${dirname(path)}/`.startsWith(`${stated}/`);
  return contains ? undefined : `${path} says it is in room ${stated}`;
}

describe('the rules themselves', () => {
  it.each([
    ['train/trainer.ts', "import { x } from '../engine/tensor.ts';", 0],
    ['train/trainer.ts', "import type { X } from '../cli/main.ts';", 1],
    ['engine/ops/add.ts', "export * from '../../models/roberta.ts';", 1],
    ['engine/ops/add.ts', "const m = await import('../../peft/lora.ts');", 1],
    ['engine/ops/add.ts', "import { y } from '../graph/tensor.ts'; import 'node:fs';", 0],
    ['cli/main.ts', "import { y } from '../bench/main.ts';", 1],
    ['cli/main.ts', "import { y } from '../test/harness.ts';", 1],
    ['kernels/add.ts', "import fs from 'node:fs';", 1],
  ])('%s with %s: %i wrong', (path, source, wrong) => {
    expect(judgeImports(path, source)).toHaveLength(wrong);
  });

  it('finds a ring, and none where paths only meet', () => {
    const imports = (all: Record<string, string[]>) => new Map(Object.entries(all));
    expect(findRing(imports({ a: ['b'], b: ['c'], c: ['b'] }))).toEqual(['b', 'c']);
    expect(findRing(imports({ a: ['b', 'c'], b: ['d'], c: ['d'], d: [] }))).toEqual([]);
  });

  it('finds a ring of folders, but none of a folder with one in it', () => {
    const ringOf = (all: Record<string, string[]>) => findRing(importsOfFolders(new Map(Object.entries(all))));
    expect(ringOf({ 'e/a/x.ts': ['e/b/y.ts'], 'e/b/z.ts': ['e/a/w.ts'] })).toEqual(['e/a', 'e/b']);
    expect(ringOf({ 'e/a/x.ts': ['e/b/y.ts', 'e/a/y.ts'], 'e/b/y.ts': ['e/c/z.ts'], 'e/c/z.ts': [] })).toEqual([]);
    expect(ringOf({ 'e/x.ts': ['e/a/y.ts'], 'e/a/y.ts': ['e/z.ts'] })).toEqual([]);
    expect(ringOf({ 'e/a/x.ts': ['e/ab/y.ts'], 'e/ab/y.ts': ['e/a/z.ts'] })).toEqual(['e/a', 'e/ab']);
  });

  it.each([
    ['engine/ops/add.ts', '/** Room: engine/ops. Adds. */', true],
    ['engine/ops/add.ts', '/**\n * Room: engine; uses kernels.\n */', true],
    ['engine/ops/add.ts', '/** Room: engine/nn. */', false],
    ['engine/ops/add.ts', 'export {};', false],
  ])('%s beginning with %j: %s', (path, source, right) => {
    expect(judgeHeader(path, source) === undefined).toBe(right);
  });

  it.each([
    'see /home/ann/data',
    "'/root/x'",
    'http://10.0.0.1/x',
    'https://npm.corp.local/a',
    ['// TO', 'DO later'].join(''),
  ])('refuses %j', (text) => {
    expect(FORBIDDEN.some(([, pattern]) => pattern.test(text))).toBe(true);
  });

  it.each(['../mnt/x', 'http://127.0.0.1:80', 'https://a.example/home/x', 'path/root/x', '${folder}/mnt/x'])(
    'lets %j pass',
    (text) => {
      expect(FORBIDDEN.some(([, pattern]) => pattern.test(text))).toBe(false);
    },
  );
});

describe('the project', () => {
  it('has its sources in view', () => {
    for (const room of ['engine', 'kernels', 'models', 'peft', 'pruning', 'train']) {
      expect(
        sources.filter((path) => roomOf(path) === room),
        room,
      ).not.toHaveLength(0);
    }
  });

  it('translates the command again when any room behind it changes', () => {
    expect([...ROOMS].sort()).toEqual(['bin', ...LEVELS.flat().filter((room) => room !== 'bench')].sort());
  });

  it('imports one way', () => {
    expect(sources.flatMap((path) => judgeImports(path, read(path)))).toEqual([]);
  });

  it('has no files that import each other in a ring, types’ imports too', () => {
    expect(findRing(new Map(sources.map((path) => [path, filesImportedBy(path)])))).toEqual([]);
  });

  // The report's pages and charts share their markup; nothing else goes both ways.
  it.each([...LEVEL_OF.keys()].filter((room) => room !== 'report'))(
    '%s has no folders that import each other in a ring',
    (room) => {
      const files = sources.filter((path) => roomOf(path) === room);
      const imports = files.map((path) => [path, filesImportedBy(path).filter((to) => roomOf(to) === room)] as const);
      expect(findRing(importsOfFolders(new Map(imports)))).toEqual([]);
    },
  );

  it('names the room in each file’s first comment', () => {
    expect(sources.flatMap((path) => judgeHeader(path, read(path)) ?? [])).toEqual([]);
  });

  it(`has no source file over ${MAX_LINES} lines`, () => {
    const long = tracked
      .filter((path) => /\.(ts|js|sh|wgsl)$/.test(path))
      .map((path) => [path, read(path).split('\n').length - 1] as const)
      .filter(([, lines]) => lines > MAX_LINES);
    expect(long).toEqual([]);
  });

  it('holds nothing of one machine and nothing unfinished', () => {
    const rules = (path: string) => [
      ...FORBIDDEN,
      ...(path.startsWith('test/') ? [FORBIDDEN_IN_TESTS] : []),
      ...(path === 'package-lock.json' ? [FORBIDDEN_IN_LOCK] : []),
    ];
    const found = texts
      .filter((path) => path !== 'test/architecture.test.ts')
      .flatMap((path) => {
        const text = read(path);
        return rules(path).flatMap(([what, pattern]) => {
          const hit = pattern.exec(text)?.[0];
          return hit === undefined ? [] : `${path}: ${what}: ${hit}`;
        });
      });
    expect(found).toEqual([]);
  });
});
