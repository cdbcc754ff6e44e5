/**
 * Room: bench. `npm run bench`: suites that time kernels, steps, whole methods, scaling and overhead beside other software, with targets.
 * This file is the entry point; `suites/` holds the suites, `peers/` the other software in processes of its own, `measure/` samples and
 * comparisons, `encoder/` models of random weights, `report/` tables and pages, `gpu/` one call for a GPU machine.
 *
 * It imports experiments and the rooms below. Nobody imports it. Results must be equal before anything is timed; candidates are timed interleaved.
 */
import { runBench } from './program.ts';

process.exitCode = await runBench(process.argv.slice(2));
