/** Room: sweep. What a sweep's folder keeps of trials and decisions: lines that are only ever added, each written and synced before the next. */
import { open, readFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { exists, fileError, writeFileAtomic } from '../engine/io/files.ts';
import { decisionSchema, trialSchema, type SchedulerDecision, type TrialRecord } from '../report/sweep/schema.ts';
import { DECISIONS_FILE, readLines, TRIALS_FILE } from '../report/sweep/write.ts';

type Files = Readonly<Record<'trials' | 'decisions', FileHandle>>;

/** The lines of a folder, and those to come. */
export class Records implements AsyncDisposable {
  readonly #trials = new Map<string, TrialRecord>();
  readonly #decisions: SchedulerDecision[];
  readonly #files: Files;

  private constructor(trials: readonly TrialRecord[], decisions: SchedulerDecision[], files: Files) {
    for (const trial of trials) this.#trials.set(trial.id, trial);
    this.#decisions = decisions;
    this.#files = files;
  }

  /** @param forget trials to take out, so that they are run again */
  static async open(folder: string, forget: (trial: TrialRecord) => boolean = () => false): Promise<Records> {
    const [trialsPath, decisionsPath] = [join(folder, TRIALS_FILE), join(folder, DECISIONS_FILE)];
    const all = await readLines(trialsPath, trialSchema);
    const trials = all.filter((trial) => !forget(trial));
    await rewrite(trialsPath, trials);
    const decisions = await readLines(decisionsPath, decisionSchema);
    await rewrite(decisionsPath, decisions);
    const files = { trials: await append(trialsPath), decisions: await append(decisionsPath) };
    return new Records(trials, decisions, files);
  }

  get trials(): ReadonlyMap<string, TrialRecord> {
    return this.#trials;
  }

  get decisions(): readonly SchedulerDecision[] {
    return this.#decisions;
  }

  /** Adds a trial that came to its end; one that is there already stays as it is. */
  async addTrial(trial: TrialRecord): Promise<void> {
    if (this.#trials.has(trial.id)) return;
    this.#trials.set(trial.id, trial);
    await this.#write('trials', trial);
  }

  async addDecision(decision: SchedulerDecision): Promise<void> {
    this.#decisions.push(decision);
    await this.#write('decisions', decision);
  }

  async #write(kind: keyof Files, value: object): Promise<void> {
    const file = this.#files[kind];
    await file.write(`${JSON.stringify(value)}\n`);
    await file.datasync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of Object.values(this.#files)) await file.close();
  }
}

async function append(path: string): Promise<FileHandle> {
  return open(path, 'a').catch((error: unknown) => {
    throw fileError(path, error);
  });
}

/** Without what was left out or cut off. */
async function rewrite(path: string, values: readonly object[]): Promise<void> {
  const text = values.map((value) => `${JSON.stringify(value)}\n`).join('');
  if ((await exists(path)) && (await readFile(path, 'utf8')) === text) return;
  if (text !== '' || (await exists(path))) await writeFileAtomic(path, text);
}
