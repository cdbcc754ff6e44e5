/**
 * Protects: commands in README.md run as printed in a fresh clone; those in docs/ have flags and files that exist. Set-up, and what is
 * marked as a download or as taking hours, is not run.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { runCommand } from '../cli/program.ts';

const ROOT = join(import.meta.dirname, '..');
const DOCUMENTS = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs')).flatMap((f) => (/\.md$/.test(f) ? `docs/${f}` : [])),
];
const SET_UP = /^(npm run demo|npm test|npm run setup|npx light-peft setup)\b/;
const MARK = /\bdownload|\bhours?\b/;
/** Words that stand for others. */
const PLACEHOLDER = /\b[A-Z]{3,}\b/;
/** Flags whose values are read, not written. */
const READS = /^--(model|train|eval|data|config|adapter|init-adapter|estimate|prompts)$/;

interface Printed {
  readonly line: string;
  readonly isMarked: boolean;
}

/** Commands of a document: the lines of its shell blocks, and `npx light-peft …` in its text. A block is marked by its first line. */
function commandsOf(document: string): Printed[] {
  const text = readFileSync(join(ROOT, document), 'utf8');
  const blocks = [...text.matchAll(/^```sh\n(.*?)^```/gms)].flatMap(([, block = '']) => {
    const lines = block.trim().split('\n');
    const isMarked = lines[0]!.startsWith('#') && MARK.test(lines[0]!);
    return lines
      .filter((line) => !line.startsWith('#'))
      .map((line) => ({
        line: line.replace(/\s+#.*/, ''),
        isMarked: isMarked || MARK.test(/#.*/.exec(line)?.[0] ?? ''),
      }));
  });
  const prose = text.replace(/^```.*?^```/gms, '');
  const inline = [...prose.matchAll(/`(npx light-peft [^`]+)`/g)].map(([, line = '']) => ({ line, isMarked: false }));
  return [...inline, ...blocks].filter(({ line }) => !PLACEHOLDER.test(line) && !SET_UP.test(line));
}

describe('README.md', () => {
  const clone = mkdtempSync(join(tmpdir(), 'light-peft-'));
  afterAll(() => rmSync(clone, { recursive: true }));
  beforeAll(() => {
    for (const name of readdirSync(ROOT)) if (name !== 'out') symlinkSync(join(ROOT, name), join(clone, name));
  });
  const commands = commandsOf('README.md').filter(({ isMarked }) => !isMarked);

  it('has commands', () => {
    expect(commands.length).toBeGreaterThan(3);
    const { bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { bin: Record<string, string> };
    expect(bin).toEqual({ 'light-peft': 'bin/light-peft.js' });
  });

  it.each(commands.map(({ line }) => line))('%s', { timeout: 240_000 }, async (line) => {
    const command = line.replace(/^npx light-peft/, 'node bin/light-peft.js');
    const { stdout, stderr } = await promisify(execFile)('bash', ['-c', command], { cwd: clone });
    if (/ run /.test(line)) expect(stderr).toMatch(/All 3 parts of this, .* will take about \d/);
    expect(stdout.split('\n').every((printed) => printed.length <= 80 || !printed.includes('──'))).toBe(true);
  });
});

describe.each(DOCUMENTS)('%s', (document) => {
  const commands = commandsOf(document).filter(({ line }) => line.startsWith('npx light-peft '));
  const argvOf = (line: string): string[] =>
    line
      .replace(/"[^"]*"/g, 'TEXT')
      .split(' ')
      .slice(2);

  it('names flags that exist', async () => {
    const spies = [process.stdout, process.stderr].map((s) => vi.spyOn(s, 'write').mockImplementation(() => true));
    const codes = await Promise.all(
      commands.map(async ({ line }) => [line, await runCommand([...argvOf(line), '--help'])]),
    );
    spies.forEach((spy) => spy.mockRestore());
    expect(codes.filter(([, code]) => code !== 0)).toEqual([]);
  });

  it('names files that are in the clone, or written by a command before', () => {
    const written: string[] = [];
    for (const { line, isMarked } of commands) {
      const argv = argvOf(line);
      const after = (flag: RegExp): string[] => argv.filter((_, i) => flag.test(argv[i - 1] ?? ''));
      const read = [...after(READS), ...after(/^report$/)].map((path) => path.replace(/^\w+=/, ''));
      const isThere = (path: string): boolean =>
        path.startsWith('out/') ? written.some((out) => path.startsWith(out)) : existsSync(join(ROOT, path));
      const missing = read.filter((path) => !isThere(path));
      expect(isMarked ? missing.filter((path) => !after(/^--model$/).includes(path)) : missing, line).toEqual([]);
      written.push(...after(/^--out$/));
    }
  });
});
