/** Room: bench. Runs suites: peers first, then the engine, then what was measured as a table, JSON, a page and Markdown. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';
import { Engine } from '../engine/engine.ts';
import { exists, jsonText, writeFileAtomic, writeJson } from '../engine/io/files.ts';
import { adapterName, versions } from '../train/provenance.ts';
import type { Settings } from '../train/settings.ts';
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
import { markdownText, terminalText } from './report/text.ts';
import type { Suite } from './suite.ts';
import { SUITES } from './suites.ts';

export interface RunOptions {
  readonly quick: boolean;
  readonly out: string;
  readonly json: boolean;
  readonly repeats?: number;
  readonly peers: readonly PeerName[];
  readonly against?: string;
  readonly markdown?: string;
  readonly set: Partial<Settings>;
  /** What a reader types to get the same. */
  readonly command: string;
}

/** Seconds that a timing lasts at least. */
const MIN_SECONDS = { quick: 0.02, full: 0.15 };

/** @throws UserError for an earlier run that cannot be compared with, or a peer that computes something else */
export async function runSuites(suites: readonly Suite[], options: RunOptions): Promise<void> {
  await mkdir(options.out, { recursive: true });
  const documents: BenchDocument[] = [];
  const wanted = options.peers.filter((name) => suites.some((suite) => suite.peers.includes(name)));
  const peers = await Peers.start(wanted);
  try {
    for (const suite of suites) {
      const document = await runSuite(suite, peers.only(suite.peers), options);
      await writeJson(join(options.out, `${suite.name}.json`), document);
      await writeFileAtomic(join(options.out, `${suite.name}.html`), await benchPage(document));
      if (!options.json) process.stdout.write(`${terminalText(document)}\n\n`);
      documents.push(document);
    }
  } finally {
    await peers.close();
  }
  if (options.json) process.stdout.write(jsonText(documents.length === 1 ? documents[0] : documents));
  else process.stdout.write(`Written to ${options.out}: ${suites.map((s) => `${s.name}.json, .html`).join('; ')}\n`);
  if (options.markdown !== undefined) await writeFileAtomic(options.markdown, markdownText(await allOf(options.out)));
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

async function runSuite(suite: Suite, started: Peers, options: RunOptions): Promise<BenchDocument> {
  const { quick, command, repeats = quick ? 3 : 9 } = options;
  const say = (text: string): unknown => process.stderr.write(`${suite.name}: ${text}\n`);
  const folder = await mkdtemp(join(os.tmpdir(), 'light-peft-bench-'));
  const engine = await Engine.open();
  try {
    const peers = started.on(engine.adapter);
    const identity = { suite: suite.name, meta: { adapter: identityOf(engine), quick } };
    const before = await earlierRun(options.against, identity);
    for (const { name, reason } of peers.missing) say(`${PEERS[name].label} is missing: ${reason}`);
    const load = loadNow();
    const start = performance.now();
    const measured = await suite.measure({
      engine,
      peers,
      quick,
      folder,
      timing: { repeats, minSeconds: quick ? MIN_SECONDS.quick : MIN_SECONDS.full },
      settings: options.set,
      stage: say,
    });
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
    });
    if (!before) return document;
    return { ...document, tables: [...document.tables, compareTables(document, before)] };
  } finally {
    engine.close();
    await rm(folder, { recursive: true, force: true });
  }
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
    ...present.map(({ name, label, greeting }) => ({
      label,
      version: greeting.version,
      note: noteOf(name, greeting.note),
    })),
    ...missing.map(({ name, reason }) => ({ label: PEERS[name].label, version: null, note: reason })),
  ];
}

/** Whether a peer's thread ran at the lowest priority, as the engine's does on software adapters. */
function noteOf(name: PeerName, note: string): string {
  return PEERS[name].webgpu
    ? `${note}, ${name.endsWith('-nice') ? 'priority lowered to 19' : 'default priority'}`
    : note;
}
