/**
 * Room: scripts. Runs every check of the project, also after a failure: lint beside formatting, types, docstrings and unused exports, then the
 * tests, which take all cores. The last line is `N passed, N failed`, the tests' counts; a check that failed counts as one failure more.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { z } from 'zod';

const RESULTS = '.cache/vitest.json';

type Check = readonly [title: string, tool: string, ...args: string[]];

/** Those of a lane run one after the other, beside those of the other lane; lint takes as long as the rest. */
const LANES: readonly (readonly Check[])[] = [
  [['Lint', 'eslint', '--max-warnings=0', '.']],
  [
    ['Formatting', 'prettier', '--check', '--log-level=warn', '.'],
    ['Types', 'tsc', '--noEmit'],
    ['API without docstrings', 'typedoc', '--emit', 'none', '--logLevel', 'Warn'],
    ['Unused files, exports and dependencies', 'knip', '--no-progress'],
  ],
];

const vitestReport = z.object({
  success: z.boolean(),
  numPassedTests: z.number(),
  numFailedTests: z.number(),
});

/** @param live whether output comes as it is made; else when the tool has ended, apart from that of others */
async function runTool([title, tool, ...args]: Check, live = false): Promise<boolean> {
  const start = performance.now();
  if (live) console.log(`\n== ${title} (${tool})`);
  const stdio = live ? 'inherit' : 'pipe';
  const child = spawn(`node_modules/.bin/${tool}`, args, { stdio: ['ignore', stdio, stdio] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const [status] = (await once(child, 'close')) as [number | null];
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  if (!live) console.log(`\n== ${title} (${tool})\n${output.trimEnd()}`.trimEnd());
  console.log(`== ${title}: ${status === 0 ? 'ok' : 'FAILED'} in ${seconds} s`);
  return status === 0;
}

/** @returns titles of those that failed */
async function runLane(checks: readonly Check[]): Promise<string[]> {
  const failed: string[] = [];
  for (const check of checks) if (!(await runTool(check))) failed.push(check[0]);
  return failed;
}

/** A run that failed without a failed test (a file that does not load, an error outside tests) counts as one failure. */
async function runTests(): Promise<{ passed: number; failed: number }> {
  rmSync(RESULTS, { force: true });
  const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${RESULTS}`];
  const ok = await runTool(['Tests', 'vitest', ...args], true);
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
const failedChecks = (await Promise.all(LANES.map(runLane))).flat();
const tests = await runTests();
const failed = tests.failed + failedChecks.length;
for (const title of failedChecks) console.log(`failed: ${title}`);
console.log(`\n${tests.passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
