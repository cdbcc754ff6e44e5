/**
 * Room: engine/profile. The generated kernels of every program as files to read: a folder per program, a `.wgsl` file per dispatch, and
 * `index.tsv`, which says where each comes from.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Dispatch } from '../compile/lower.ts';
import type { Program, ProgramObserver } from '../compile/program.ts';
import { writeAtomically } from '../io/files.ts';
import { scopesOf, shapeOf } from './dispatch-text.ts';

const COLUMNS = ['file', 'kernel', 'config', 'shape', 'workgroups', 'flops', 'bytes', 'ops', 'scopes'];

/** Give it to `Engine.observer`. */
export class KernelDump implements ProgramObserver {
  readonly #folder: string;
  readonly #names = new Map<string, number>();

  /** @param folder is made where it is missing; folders of earlier programs of the same name are written anew */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @throws UserError where the files cannot be written */
  async built({ name, dispatches }: Program): Promise<void> {
    const folder = join(this.#folder, this.#folderOf(name));
    const files = dispatches.map(
      (dispatch, i) => `${String(i).padStart(3, '0')}-${asFileName(dispatch.kernel.name)}.wgsl`,
    );
    const rows = [COLUMNS, ...dispatches.map((dispatch, i) => rowOf(files[i]!, dispatch))];
    const texts = [
      ...dispatches.map(
        (dispatch, i) => [files[i]!, `${headerOf(name, dispatch, i)}\n\n${dispatch.kernel.wgsl}`] as const,
      ),
      ['index.tsv', rows.map((row) => `${row.join('\t')}\n`).join('')] as const,
    ];
    await writeAtomically(
      texts.map(([file, text]) => ({ path: join(folder, file), write: (handle) => handle.writeFile(text) })),
    );
    for (const file of await readdir(folder))
      if (/^\d{3,}-.*\.wgsl$/.test(file) && !files.includes(file)) await rm(join(folder, file));
  }

  /** Programs of one name, as tuning makes them, are told apart by a number. */
  #folderOf(name: string): string {
    const count = (this.#names.get(name) ?? 0) + 1;
    this.#names.set(name, count);
    return asFileName(count === 1 ? name : `${name} ${count}`);
  }
}

function asFileName(name: string): string {
  return name.replace(/[^\w.-]+/g, '-');
}

function opNamesOf({ ops }: Dispatch): string {
  return ops.map(({ name }) => name).join(' ');
}

function rowOf(file: string, dispatch: Dispatch): (string | number)[] {
  const { name, workgroups, flops, bytes } = dispatch.kernel;
  const about = [file, name, dispatch.config ?? '', shapeOf(dispatch), workgroups.join('×'), flops, bytes];
  return [...about, opNamesOf(dispatch), scopesOf(dispatch).join(', ')];
}

function headerOf(program: string, dispatch: Dispatch, i: number): string {
  const { kernel, bound, config, ops } = dispatch;
  const { name, workgroups, flops, bytes, bindings } = kernel;
  const lines = [
    `${program}, dispatch ${i}: ${name}${config === undefined ? '' : `, config ${config}`}`,
    `shape ${shapeOf(dispatch)}, workgroups ${workgroups.join('×')}, flops ${flops}, bytes ${bytes}`,
    ...bindings.map(
      (binding, b) => `${binding.role} ${binding.name}: ${bound[b]!.dtype} [${bound[b]!.shape.join(', ')}]`,
    ),
    ...ops.map((op) => `op ${op.name} ${op.scopes.join(', ')}`.trimEnd()),
  ];
  return lines.map((line) => `// ${line}`).join('\n');
}
