/**
 * Room: cli. Which settings the commands of single stages read. Each takes the flags of all, so that one line of them serves several; of those
 * that it does not read it says so.
 */
import { option } from '../engine/errors.ts';
import { warn } from '../engine/warnings.ts';
import { SETTINGS, type Setting } from '../experiments/settings.ts';
import { TRAIN_ONLY_OPTIONS } from '../train/options.ts';

/** The command of one stage. */
export type StageName = 'estimate' | 'prune' | 'train';

const TRAINING: readonly Setting['room'][] = ['preset', 'peft', 'data', 'train', 'distill', 'load', 'engine'];
const OF_PRUNE: readonly string[] = ['seed', 'initSeed', 'newHead'];
const NOT_OF_ESTIMATE: readonly string[] = [...TRAIN_ONLY_OPTIONS, 'epochs'];

const READS: Readonly<Record<StageName, (setting: Setting) => boolean>> = {
  estimate: ({ room, name }) => room !== 'slice' && room !== 'distill' && !NOT_OF_ESTIMATE.includes(name),
  prune: ({ room, name }) => room === 'preset' || room === 'decide' || room === 'slice' || OF_PRUNE.includes(name),
  train: ({ room }) => TRAINING.includes(room),
};

const AND = new Intl.ListFormat('en-GB');

/** Warns of settings that the stage does not read. @param given keys of those that were given as flags */
export function warnOfOthers(stage: StageName, given: Iterable<string>): void {
  for (const key of given) {
    const setting = SETTINGS.get(key)!;
    if (READS[stage](setting)) continue;
    const readers = Object.entries(READS).flatMap(([name, reads]) => (reads(setting) ? [name] : []));
    warn(`${option(key)} is for ${AND.format(['run', ...readers])}: ${stage} does nothing with it`);
  }
}
