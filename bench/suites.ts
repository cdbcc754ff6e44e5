/** Room: bench. Every suite, in the order in which `all` runs them. */
import type { Suite } from './suite.ts';
import { bookkeeping } from './suites/bookkeeping.ts';
import { kernels } from './suites/kernels.ts';
import { lightPeft } from './suites/light-peft.ts';
import { overhead } from './suites/overhead.ts';
import { queue } from './suites/queue.ts';
import { scaling } from './suites/scaling.ts';
import { step } from './suites/step.ts';
import { tasks } from './suites/tasks.ts';

export const SUITES: readonly Suite[] = [kernels, step, lightPeft, scaling, overhead, bookkeeping, tasks, queue];
