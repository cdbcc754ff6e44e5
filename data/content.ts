/** Room: data. Hashes of what a request names, so that a run goes on only with the data that it began with. */
import { fingerprintFiles, fingerprintText } from '../engine/io/fingerprint.ts';
import type { DataOptions } from './options.ts';
import { requestedFiles, taskOf, type DataRequest } from './request.ts';

/**
 * `sha256:…` of training and evaluation data. Files are told by their bytes, wherever they lie; a built-in task by its name: its splits name
 * every text.
 * @throws UserError for a file that cannot be read
 */
export async function contentOf(
  request: DataRequest,
  options: DataOptions = {},
): Promise<{ readonly train?: string; readonly eval?: string }> {
  const task = taskOf(request);
  if (task?.load) {
    const { evalSplit = task.evalSplit } = options;
    const name = fingerprintText(task.name);
    return { train: name, eval: evalSplit === task.evalSplit ? name : fingerprintText(`${task.name} ${evalSplit}`) };
  }
  const { train, eval: test } = await requestedFiles(request, options);
  return {
    ...(train && { train: await fingerprintFiles(train) }),
    ...(test && { eval: await fingerprintFiles(test) }),
  };
}
