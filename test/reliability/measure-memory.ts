/** Tests only: starts `memory-child.ts`. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { MemoryReport } from './memory-child.ts';

/** What loading may take beside the largest tensor of the file, in bytes. */
export const BESIDE_LARGEST = 64e6;

/** @param mode storage of the weights, or `step`: f16, and one LoRA step */
export async function measureMemory(dir: string, mode: 'f32' | 'f16' | 'step'): Promise<MemoryReport> {
  const child = ['--import', 'tsx', join(import.meta.dirname, 'memory-child.ts'), dir, mode];
  const { stdout } = await promisify(execFile)(process.execPath, child, { maxBuffer: 1 << 24 });
  return JSON.parse(stdout) as MemoryReport;
}
