import { rowsOfFiles } from '/tmp/wt/commonsense/data/tasks/split-source.ts';
import { taskNamed } from '/tmp/wt/commonsense/data/tasks/registry.ts';
import { itemsOf } from '/tmp/wt/commonsense/data/record-source.ts';
const [,, task, file] = process.argv;
let n = 0; const started = Date.now(); let last: unknown;
for await (const { row } of itemsOf(rowsOfFiles(taskNamed(task!), [file!]))) { n++; last = row; }
console.log(n, Date.now()-started, 'ms', process.resourceUsage().maxRSS/1024|0, 'MB', JSON.stringify(last).slice(0,300));
