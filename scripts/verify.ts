/**
 * Room: scripts. Runs every check of the project, one after the other, also after a failure: formatting, lint, types,
 * docstrings, unused exports, tests. The last line is `N passed, N failed`, the tests' counts; a check that failed counts as one failure more.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { z } from 'zod';

const RESULTS = '.cache/vitest.json';

const CHECKS: readonly (readonly [title: string, tool: string, ...args: string[]])[] = [
  ['Formatting', 'prettier', '--check', '--log-level=warn', '.'],
  ['Lint', 'eslint', '--max-warnings=0', '.'],
  ['Types', 'tsc', '--noEmit'],
  ['API without docstrings', 'typedoc', '--emit', 'none', '--logLevel', 'Warn'],
  ['Unused files, exports and dependencies', 'knip', '--no-progress'],
];

const vitestReport = z.object({
  success: z.boolean(),
  numPassedTests: z.number(),
  numFailedTests: z.number(),
});

function runTool(title: string, tool: string, args: readonly string[]): boolean {
  const start = performance.now();
  console.log(`\n== ${title} (${tool})`);
  const { status } = spawnSync(`node_modules/.bin/${tool}`, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`== ${title}: ${status === 0 ? 'ok' : 'FAILED'} in ${seconds} s`);
  return status === 0;
}

/** A run that failed without a failed test (a file that does not load, an error outside tests) counts as one failure. */
function runTests(): { passed: number; failed: number } {
  rmSync(RESULTS, { force: true });
  const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${RESULTS}`];
  const ok = runTool('Tests', 'vitest', args);
  let report: z.infer<typeof vitestReport>;
  try {
    report = vitestReport.parse(JSON.parse(readFileSync(RESULTS, 'utf8')));
  } catch {
    return { passed: 0, failed: 1 };
  }
  const sound = ok && report.success && report.numPassedTests > 0;
  return { passed: report.numPassedTests, failed: Math.max(report.numFailedTests, sound ? 0 : 1) };
}

mkdirSync('.cache', { recursive: true });
// Said once, before the tests that need it.
spawnSync('bash', ['scripts/redis.sh'], { stdio: ['ignore', 'inherit', 'inherit'] });
const failedChecks = CHECKS.filter(([title, tool, ...args]) => !runTool(title, tool, args));
const tests = runTests();
const failed = tests.failed + failedChecks.length;
for (const [title] of failedChecks) console.log(`failed: ${title}`);
console.log(`\n${tests.passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
