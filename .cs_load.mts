import { loadModel } from './models/checkpoint.ts';
import { loadData } from './data/source.ts';
const [,, task, file, len] = process.argv;
const started = Date.now();
const checkpoint = await loadModel('/tmp/models/all-minilm-l6-v2');
const data = await loadData(checkpoint, { task, train: file }, { maxLength: Number(len) });
console.log(data.rows, data.train.length, Date.now() - started, 'ms', (process.resourceUsage().maxRSS/1024)|0, 'MB peak', (process.memoryUsage().rss/2**20)|0, 'MB now');
