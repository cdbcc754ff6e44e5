/**
 * Protects: imports point one way, files say where they belong and stay short, nothing of one machine gets in, and every document
 * and file that is cited exists.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { ROOMS } from '../bin/translate.js';

const ROOT = join(import.meta.dirname, '..');
/** This file: its examples are wrong on purpose. */
const OWN = 'test/architecture.test.ts';

/** Left to right: a file imports from its own room or one of a higher level. Rooms of one level don't see each other. */
const LEVELS = [
  ['cli', 'bench'],
  ['sweep'],
  ['audit'],
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

/** Folders whose files documents name. */
const FOLDERS = new Set([...LEVEL_OF.keys(), 'bin', 'docs', 'examples', 'scripts', 'test']);

/** The files that a newcomer opens first, one for each room. */
const FIRST_FILES = [
  ...['engine', 'kernels', 'models', 'peft', 'data', 'pruning', 'peft-model', 'train', 'generate'].map(
    (room) => `${room}/index.ts`,
  ),
  ...[
    'sweep/sweep.ts',
    'audit/audit.ts',
    'experiments/run.ts',
    'report/schema.ts',
    'pretrain/pretrain.ts',
    'cli/main.ts',
    'bench/main.ts',
  ],
];

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

/** A document named in a comment, and its section: `docs/x.md`, `docs/x.md §2–3`, `docs/x.md#heading`. */
const CITED = /(?<![\w./-])((?:[\w-]+\/)*[\w-]+\.md)\b(?: §(\d+)(?:–(\d+))?|#([\w-]+))?/g;

/** The comments of a source. */
function commentsOf(path: string, source: string): string {
  const comment = /\.(ts|js)$/.test(path) ? /\/\*[^]*?\*\/|\/\/.*/g : /(?<=^|\s)#.*/gm;
  return (source.match(comment) ?? []).join('\n');
}

/** Anchors of a Markdown file's headings, as GitHub makes them. */
function anchorsOf(markdown: string): string[] {
  const headings = [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, title]) => title!);
  return headings.map((title) => title.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-')); // prettier-ignore
}

type ReadText = (path: string) => string | undefined;

/** Citations of documents or sections that do not exist, in a source's comments. @param read undefined for no such file */
function judgeCitations(path: string, source: string, read: ReadText): string[] {
  return [...commentsOf(path, source).matchAll(CITED)].flatMap(([cited, document, from, to, anchor]) => {
    const text = read(document!) ?? read(posix.join(posix.dirname(path), document!));
    const sections = [from, to].filter((section) => section !== undefined);
    const found =
      text !== undefined &&
      sections.every((section) => new RegExp(`^#+ ${section}\\. `, 'm').test(text)) &&
      (anchor === undefined || anchorsOf(text).includes(anchor));
    return found ? [] : [`${path} cites ${cited}`];
  });
}

/** Links of a Markdown file to files or headings that do not exist. */
function judgeLinks(path: string, markdown: string, read: ReadText): string[] {
  const links = [...markdown.matchAll(/\]\((?!https?:)([^)\s#]*)(?:#([^)\s]+))?\)/g)];
  return links.flatMap(([link, target, anchor]) => {
    const text = target === '' ? markdown : read(posix.join(posix.dirname(path), target!));
    const found = text !== undefined && (anchor === undefined || anchorsOf(text).includes(anchor));
    return found ? [] : [`${path} links ${link}`];
  });
}

/** Files and symbols in a Markdown file's backticks that do not exist. @param isWord whether a source has that word */
function judgeNames(path: string, markdown: string, read: ReadText, isWord: (word: string) => boolean): string[] {
  const quoted = [...markdown.replace(/^```[^]*?^```/gm, '').matchAll(/`([^`\n]+)`/g)].map(([, text]) => text!);
  return quoted.flatMap((text) => {
    // Names in capitals stand for names: `peft/METHOD/config.ts`.
    if (/^[a-z][\w-]*\/[\w./-]+\.(ts|js|sh|py|md|ya?ml|json)$/.test(text))
      return !FOLDERS.has(roomOf(text)) || /[A-Z]{4}/.test(text) || read(text) !== undefined
        ? []
        : [`${path} names ${text}`];
    const isSymbol = /^[A-Za-z]\w*(\.\w+)*(\(\w*\))?$/.test(text) && /[a-z][A-Z]|[A-Z][a-z]/.test(text);
    return isSymbol && !text.match(/\w+/g)!.every(isWord) ? [`${path} names ${text}`] : [];
  });
}

/** Rooms that a program may import; only the command line has flags, and the room that makes command lines of trials. */
const LIBRARY = LEVELS.slice(2).flat();

/** A flag, e.g. `--lora-r`; not a custom property of CSS that is used. */
const FLAG = /(?<!var\(|[\w-])--[a-z][\w-]*/g;

/** Flags in strings and templates of a source. */
function judgeFlags(path: string, source: string): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node))
      found.push(...(node.text.match(FLAG) ?? []));
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, source, ts.ScriptTarget.Latest));
  return found.map((flag) => `${path} names ${flag}; use option()`);
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
    ['engine/a.ts', '// see docs/a.md §2–3', true],
    ['engine/a.ts', '/** docs/a.md §4 */', false],
    ['engine/a.ts', '/** As docs/a.md#2-first-steps says, and https://x.example/docs/z.md. */', true],
    ['engine/a.ts', '// docs/a.md#elsewhere', false],
    ['engine/a.ts', "const name = 'docs/z.md';", true],
    ['docs/b.md', 'See [a](a.md#3-last), [here](#own) and `engine/a.ts`.\n\n## Own', true],
    ['docs/b.md', '[a](z.md)', false],
    ['docs/b.md', '[a](a.md#own)', false],
    ['docs/b.md', 'Files `engine/z.ts` and `out/z.json`.', false],
    ['docs/b.md', 'Files `engine/METHOD.ts` and `out/z.json`.', true],
    ['docs/b.md', '`Plan.layers` and `noSuch`', false],
    ['docs/b.md', '`Plan.layers`, `--heads-ratio`, `LABEL_0`\n\n```ts\nconst noSuch = `x`;\n```', true],
  ])('%s with %j cites what exists: %s', (path, source, right) => {
    const files: Record<string, string> = { 'docs/a.md': '# A\n\n## 2. First steps\n\n## 3. Last', 'engine/a.ts': '' };
    const readFile = (name: string) => files[name];
    const isWord = (word: string) => ['Plan', 'layers'].includes(word);
    const wrong = path.endsWith('.md')
      ? [...judgeLinks(path, source, readFile), ...judgeNames(path, source, readFile, isWord)]
      : judgeCitations(path, source, readFile);
    expect(wrong).toHaveLength(right ? 0 : 1);
  });

  it.each([
    ["throw new Error('--lora-r: found 0')", 1],
    ['throw new Error(`${path}: give --train or --eval`)', 2],
    ['const text = `${a} --lr ${b} --clip`;', 2],
    ['// as --lora-r says\nconst name = option("r");', 0],
    ["const ink = 'var(--ink)'; const dash = 'a -- b, x--y'; i--;", 0],
  ])('%s: %i flags', (source, flags) => {
    expect(judgeFlags('train/a.ts', source)).toHaveLength(flags);
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

  it.each([...LEVEL_OF.keys()])('%s has no folders that import each other in a ring', (room) => {
    const files = sources.filter((path) => roomOf(path) === room);
    const imports = files.map((path) => [path, filesImportedBy(path).filter((to) => roomOf(to) === room)] as const);
    expect(findRing(importsOfFolders(new Map(imports)))).toEqual([]);
  });

  it('knows no flags below the command line', () => {
    // The style sheet has custom properties.
    const files = sources.filter((path) => LIBRARY.includes(roomOf(path)) && path !== 'report/html/style.ts');
    expect(files.flatMap((path) => judgeFlags(path, read(path)))).toEqual([]);
  });

  it('names the room in each file’s first comment', () => {
    expect(sources.flatMap((path) => judgeHeader(path, read(path)) ?? [])).toEqual([]);
  });

  it.each(FIRST_FILES)('%s says what the room is, what it imports, and what it may not know', (path) => {
    const header = /^\/\*\*(.*?)\*\//s.exec(read(path))?.[1] ?? '';
    expect(header.split('\n').length, path).toBeGreaterThan(5);
    expect(header).toMatch(/imports/);
    expect(header).toMatch(/may not know|knows no|Nobody imports it/);
  });

  it(`has no source file over ${MAX_LINES} lines`, () => {
    const long = tracked
      .filter((path) => /\.(ts|js|sh|wgsl)$/.test(path))
      .map((path) => [path, read(path).split('\n').length - 1] as const)
      .filter(([, lines]) => lines > MAX_LINES);
    expect(long).toEqual([]);
  });

  it('cites documents, sections, files and symbols that exist', () => {
    const readIfThere = (path: string): string | undefined => {
      const found = statSync(join(ROOT, path), { throwIfNoEntry: false });
      return found?.isDirectory() ? '' : found && read(path);
    };
    const commented = tracked.filter((path) => /\.(ts|js|sh|py|ya?ml)$/.test(path) && path !== OWN);
    const documents = tracked.filter((path) => path.endsWith('.md'));
    // The changelog names what was; results are those of their day.
    const current = documents.filter((path) => !/(CHANGELOG|RESULTS)\.md$/.test(path));
    const code = tracked.filter((path) => /\.(ts|js|py)$|^package\.json$|^docs\/schemas\//.test(path) && path !== OWN);
    const words = new Set(code.flatMap((path) => read(path).match(/\w+/g) ?? []));
    expect([
      ...commented.flatMap((path) => judgeCitations(path, read(path), readIfThere)),
      ...documents.flatMap((path) => judgeLinks(path, read(path), readIfThere)),
      ...current.flatMap((path) => judgeNames(path, read(path), readIfThere, (word) => words.has(word))),
    ]).toEqual([]);
  });

  it('holds nothing of one machine and nothing unfinished', () => {
    const rules = (path: string) => [
      ...FORBIDDEN,
      ...(path.startsWith('test/') ? [FORBIDDEN_IN_TESTS] : []),
      ...(path === 'package-lock.json' ? [FORBIDDEN_IN_LOCK] : []),
    ];
    const found = texts
      .filter((path) => path !== OWN)
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
