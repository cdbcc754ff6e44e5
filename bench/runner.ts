/** Room: bench. Runs suites: peers first, then the engine, then what was measured as a table, JSON, a page and Markdown. */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';
import { Engine } from '../engine/engine.ts';
import { exists, jsonText, writeFileAtomic, writeJson } from '../engine/io/files.ts';
import { adapterName, versions } from '../experiments/provenance.ts';
import type { OptionChanges } from './encoder/model.ts';
import { Parts, type Failure } from './parts.ts';
import { PEERS, Peers, type PeerName } from './peers/peer.ts';
import {
  assertComparable,
  compareTables,
  makeDocument,
  readDocument,
  type BenchDocument,
  type Identity,
} from './report/document.ts';
import { benchPage } from './report/page.ts';
import { parseRemarks, type Remarks } from './report/remarks.ts';
import { markdownText, terminalText } from './report/text.ts';
import type { BenchContext, Suite } from './suite.ts';
import { SUITES } from './suites.ts';

export interface RunOptions {
  readonly quick: boolean;
  readonly out: string;
  readonly json: boolean;
  readonly repeats?: number;
  readonly peers: readonly PeerName[];
  readonly against?: string;
  readonly markdown?: string;
  /** Hand-written sections for the Markdown. */
  readonly remarks: string;
  readonly set: OptionChanges;
  /** Takes what an interrupted run left in `out`. */
  readonly resume: boolean;
  /** What a reader types to get the same. */
  readonly command: string;
}

/** Seconds that a timing lasts at least, and that all timings of one comparison take at most, about. */
const SECONDS = {
  quick: { minSeconds: 0.02, maxSeconds: 10 },
  full: { minSeconds: 0.15, maxSeconds: 60 },
};

/**
 * @returns whether every part of every suite was measured
 * @throws UserError for an earlier run that cannot be compared with
 */
export async function runSuites(suites: readonly Suite[], options: RunOptions): Promise<boolean> {
  await mkdir(options.out, { recursive: true });
  const documents: BenchDocument[] = [];
  const failures: string[] = [];
  const wanted = options.peers.filter((name) => suites.some((suite) => suite.peers.includes(name)));
  const peers = await Peers.start(wanted);
  try {
    for (const suite of suites) {
      const { document, failed } = await runSuite(suite, peers, options);
      await writeJson(join(options.out, `${suite.name}.json`), document);
      await writeFileAtomic(join(options.out, `${suite.name}.html`), await benchPage(document));
      if (!options.json) process.stdout.write(`${terminalText(document)}\n\n`);
      documents.push(document);
      failures.push(...failed.map(({ part, reason }) => `${suite.name}, ${part}: ${reason}`));
    }
  } finally {
    await peers.close();
  }
  if (options.json) process.stdout.write(jsonText(documents.length === 1 ? documents[0] : documents));
  else process.stdout.write(`Written to ${options.out}: ${suites.map((s) => `${s.name}.json, .html`).join('; ')}\n`);
  if (options.markdown !== undefined)
    await writeFileAtomic(options.markdown, markdownText(await allOf(options.out), await remarksOf(options.remarks)));
  for (const failure of failures) process.stderr.write(`bench: not measured: ${failure}\n`);
  return failures.length === 0;
}

/** Everything measured into a folder so far, each suite once. */
async function allOf(out: string): Promise<BenchDocument[]> {
  const documents: BenchDocument[] = [];
  for (const { name } of SUITES) {
    const path = join(out, `${name}.json`);
    if (await exists(path)) documents.push(await readDocument(path));
  }
  return documents;
}

async function remarksOf(path: string): Promise<Remarks> {
  if (!(await exists(path))) return new Map();
  const suites = SUITES.map((s) => s.name);
  return parseRemarks(await readFile(path, 'utf8'), path, suites);
}

interface Outcome {
  readonly document: BenchDocument;
  readonly failed: readonly Failure[];
}

async function runSuite(suite: Suite, started: Peers, options: RunOptions): Promise<Outcome> {
  const { quick, command, set, repeats = quick ? 3 : 9 } = options;
  const say = (text: string): unknown => process.stderr.write(`${suite.name}: ${text}\n`);
  const folder = await mkdtemp(join(os.tmpdir(), 'light-peft-bench-'));
  let engine = await Engine.open();
  try {
    const peers = started.named(suite.peers).on(engine.adapter);
    const identity = { suite: suite.name, meta: { adapter: identityOf(engine), quick } };
    const before = await earlierRun(options.against, identity);
    for (const { name, reason } of peers.missing) say(`${PEERS[name].label} is missing: ${reason}`);
    const present = peers.present.map((p) => [p.name, p.greeting.version]);
    const sameRun = JSON.stringify([identity, repeats, set, present, await versions()]);
    const parts = await Parts.open(join(options.out, `${suite.name}.parts.json`), sameRun, options.resume);
    const load = loadNow();
    const start = performance.now();
    const context: BenchContext = {
      get engine() {
        return engine;
      },
      peers,
      quick,
      folder,
      timing: { repeats, ...(quick ? SECONDS.quick : SECONDS.full) },
      changes: set,
      part: (name, schema, run) =>
        parts.measure(name, schema, async () => {
          say(name);
          try {
            return await run();
          } catch (error) {
            // What the part left behind goes with its device.
            engine.close();
            engine = await Engine.open();
            throw error;
          }
        }),
    };
    const measured = await suite.measure(context);
    const document = makeDocument({
      suite: suite.name,
      title: `${suite.name}: ${suite.summary}`,
      meta: {
        ...identity.meta,
        date: new Date().toISOString(),
        command,
        software: engine.adapter.software,
        versions: await versions(),
        seconds: (performance.now() - start) / 1000,
        load: [load, loadNow()],
        peers: peersOf(peers),
      },
      ...measured,
      notes: [...measured.notes, ...notesOf(parts)],
    });
    const compared = before ? [compareTables(document, before)] : [];
    return { document: { ...document, tables: [...document.tables, ...compared] }, failed: parts.failures };
  } finally {
    engine.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function notesOf({ failures, earlier }: Parts): string[] {
  return [
    ...failures.map(({ part, reason }) => `Not measured: ${part}: ${reason}`),
    ...(earlier.length > 0 ? [`Taken from the run that was interrupted: ${earlier.join(', ')}.`] : []),
  ];
}

async function earlierRun(file: string | undefined, now: Identity): Promise<BenchDocument | undefined> {
  if (file === undefined) return undefined;
  const before = await readDocument(file);
  assertComparable(now, before, file);
  return before;
}

/** The adapter; a software one is as fast as its processor, which is named too. */
function identityOf({ adapter }: Engine): string {
  const cpus = os.cpus();
  return adapter.software
    ? `${adapterName(adapter)} on ${cpus.length} × ${cpus[0]?.model.trim() ?? 'unknown processor'}`
    : adapterName(adapter);
}

const loadNow = (): number => os.loadavg()[0] ?? 0;

function peersOf({ present, missing }: Peers): BenchDocument['meta']['peers'] {
  return [
    ...present.map(({ name, greeting, failure }) => ({
      label: PEERS[name].label,
      version: greeting.version,
      note: noteOf(name, greeting.note) + (failure === undefined ? '' : `; at last ${failure}`),
    })),
    ...missing.map(({ name, reason }) => ({ label: PEERS[name].label, version: null, note: reason })),
  ];
}

/** How a peer's thread waits for the device. */
function noteOf(name: PeerName, note: string): string {
  if (!PEERS[name].webgpu) return note;
  return `${note}, ${name.endsWith('-patient') ? 'waits asleep, as this engine does' : 'waits as it does by default'}`;
}
