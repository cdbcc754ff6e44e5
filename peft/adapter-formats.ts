/** Room: peft. The registry of adapter folders: which format one has, and how it is read. */
import type { ModelConfig } from '../models/architecture.ts';
import { isHubFolder, readHubAdapter } from './adapterhub/files.ts';
import { readAdapter, type Adapter } from './files.ts';
import { vocabularyNames, withSavedVocabulary } from './saved-vocabulary.ts';
import { fromStored } from './trained-whole.ts';

/** A format of adapter folders. */
export interface AdapterFormat {
  readonly name: string;
  /** Whether a folder is of this format. */
  detect(dir: string): Promise<boolean>;
  /**
   * @param model the base
   * @throws UserError where files are missing, damaged, or hold what is not supported
   */
  read(dir: string, model: ModelConfig): Promise<Adapter>;
}

/** Asked in this order; PEFT's is the last, whose errors say what a folder lacks. */
const FORMATS: AdapterFormat[] = [
  { name: 'AdapterHub', detect: isHubFolder, read: readHubAdapter },
  {
    name: 'PEFT',
    detect: () => Promise.resolve(true),
    read: async (dir, model) =>
      withSavedVocabulary(fromStored(await readAdapter(dir, vocabularyNames(model)), model), model),
  },
];

/** Makes a format known; it is asked before the others. */
export function registerAdapterFormat(format: AdapterFormat): void {
  FORMATS.unshift(format);
}

/** An adapter's folder, of any format. @throws UserError as its format */
export async function readAnyAdapter(dir: string, model: ModelConfig): Promise<Adapter> {
  for (const format of FORMATS) if (await format.detect(dir)) return format.read(dir, model);
  throw new Error(`${dir}: no format of adapters takes it`);
}
