/** Room: data. Hashes of what a request names, so that a run goes on only with the data that it began with. */
import { fingerprintFiles, fingerprintText } from '../engine/io/fingerprint.ts';
import type { DataRequest } from './source.ts';

/**
 * `sha256:…` of training and evaluation data. A file is told by its bytes, wherever it lies; a built-in task by its name: its splits name
 * every text.
 * @throws UserError for a file that cannot be read
 */
export async function contentOf(request: DataRequest): Promise<{ readonly train?: string; readonly eval?: string }> {
  const { task, train, eval: test } = request;
  const hash = async (path: string | undefined): Promise<string | undefined> =>
    path !== undefined ? fingerprintFiles([path]) : task !== undefined ? fingerprintText(task) : undefined;
  const [trained, evaluated] = [await hash(train), await hash(test)];
  return { ...(trained && { train: trained }), ...(evaluated && { eval: evaluated }) };
}
