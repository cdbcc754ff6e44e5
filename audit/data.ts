/** Room: audit. The texts of an audit: of the source that triggers are planted in, of the user's source, and what is measured on. */
import { encodeTexts } from '../data/encode.ts';
import type { EncodedExample } from '../data/encoded-example.ts';
import { loadData } from '../data/source.ts';
import { loadTaskPart, taskParts, type Example } from '../data/tasks/built-in.ts';
import { option, UserError } from '../engine/errors.ts';
import { fingerprintText } from '../engine/io/fingerprint.ts';
import { hostRandom, STREAM } from '../engine/random.ts';
import type { Checkpoint } from '../models/checkpoint.ts';
import type { TextTokenizer } from '../models/tokenizer.ts';
import { TriggerPlanter } from './triggers.ts';
import type { AuditOptions } from './options.ts';

/** What the user named: files, or parts of the built-in task `sentiment` where there are none. */
export interface AuditRequest {
  /** Name of a part: amazon, imdb or yelp. */
  readonly plantOn?: string | undefined;
  readonly userOn?: string | undefined;
  readonly plantTrain?: string | undefined;
  readonly plantEval?: string | undefined;
  readonly userTrain?: string | undefined;
  readonly userEval?: string | undefined;
}

/** Labelled texts of one source. */
export interface Source {
  readonly name: string;
  readonly train: readonly Example[];
  /** Empty for a planted source without a file to evaluate on. */
  readonly test: readonly Example[];
}

/** Both sources, with the same classes. */
export interface Sources {
  readonly labels: readonly string[];
  readonly plant: Source;
  readonly user: Source;
}

const TASK = 'sentiment';

/** @throws UserError where a source is not named, named twice or not there, has no test texts for the user, or has other classes */
export async function loadSources(checkpoint: Checkpoint, request: AuditRequest): Promise<Sources> {
  const plant = await loadSource(checkpoint, 'plant', request);
  const user = await loadSource(checkpoint, 'user', request, plant.labels);
  if (plant.labels.join() !== user.labels.join())
    throw new UserError(
      `${option('userTrain')}: found the classes ${user.labels.join(', ')}, expected those of the planted source, ${plant.labels.join(', ')}`,
    );
  return { labels: plant.labels, plant, user };
}

const DEFAULT_PARTS = { plant: 'amazon', user: 'imdb' } as const;

async function loadSource(
  checkpoint: Checkpoint,
  side: 'plant' | 'user',
  request: AuditRequest,
  known?: readonly string[],
): Promise<Source & { readonly labels: readonly string[] }> {
  const [part, train, test] = [request[`${side}On`], request[`${side}Train`], request[`${side}Eval`]];
  if (train === undefined) {
    if (test !== undefined) throw new UserError(`${option(`${side}Eval`)}: needs ${option(`${side}Train`)}`);
    return loadPart(side, part ?? DEFAULT_PARTS[side]);
  }
  if (part !== undefined) throw new UserError(`${option(`${side}On`)} and ${option(`${side}Train`)}: give one of them`);
  if (test === undefined && side === 'user')
    throw new UserError(`${option('userEval')}: missing, an audit is measured on the user's data`);
  const head = known && { head: 'classification' as const, labels: known };
  const data = await loadData(checkpoint, { train, eval: test ?? train }, {}, head);
  const texts = await data.texts?.();
  if (!texts) throw new UserError(`${train}: expected texts with a class each, an audit plants words in them`);
  return { name: data.name, labels: texts.labels, train: texts.train, test: test === undefined ? [] : texts.test };
}

async function loadPart(
  side: 'plant' | 'user',
  part: string,
): Promise<Source & { readonly labels: readonly string[] }> {
  const parts = taskParts(TASK);
  if (!parts.includes(part))
    throw new UserError(`${option(`${side}On`)}: found "${part}", expected one of ${parts.join(', ')}`);
  const { labels, train, test } = await loadTaskPart(TASK, part);
  return { name: part, labels, train, test };
}

/** The class that triggers call for, by its index. @throws UserError for one that there is not */
function targetIndex(target: string | undefined, labels: readonly string[]): number {
  if (target === undefined) return labels.length - 1;
  const found = labels.indexOf(target);
  if (found >= 0) return found;
  throw new UserError(`${option('target')}: found "${target}", expected one of ${labels.join(', ')}`);
}

/** What is measured on: clean texts, and those of other classes than the target with triggers. */
export interface TestTexts {
  readonly clean: readonly EncodedExample[];
  readonly triggered: readonly EncodedExample[];
}

/** Encoded texts of one seed. */
export interface SeedData {
  /** Without triggers, and with triggers and the target for a label. */
  readonly clean: readonly EncodedExample[];
  readonly planted: readonly EncodedExample[];
  /** All of the planted source as they were: what an honest adapter is trained on. */
  readonly honest: readonly EncodedExample[];
  readonly user: readonly EncodedExample[];
}

/** Makes of sources what is trained and measured on. */
export class AuditData {
  readonly labels: readonly string[];
  readonly target: number;
  readonly name: string;
  /** Of the user's source; and of the planted one, where it has test texts. */
  readonly tests: { readonly user: TestTexts; readonly plant?: TestTexts };
  readonly #seeds: ReadonlyMap<number, SeedData>;

  private constructor(
    { labels, plant, user }: Sources,
    target: number,
    tests: AuditData['tests'],
    seeds: ReadonlyMap<number, SeedData>,
  ) {
    this.labels = labels;
    this.target = target;
    this.name = `${plant.name} → ${user.name}`;
    this.tests = tests;
    this.#seeds = seeds;
  }

  /**
   * Draws, plants and encodes: of every seed its own planted texts, the same test texts for all.
   * @throws UserError for triggers that the tokenizer cannot see or that do not fit, or texts that are too few
   */
  static async create(
    sources: Sources,
    { tokenizer, vocabSize, maxLength }: Reader,
    options: Pick<
      AuditOptions,
      'target' | 'texts' | 'testTexts' | 'seeds' | 'plantedShare' | 'triggers' | 'triggerCount'
    >,
  ): Promise<AuditData> {
    const { triggers, triggerCount, plantedShare, seeds } = options;
    const target = targetIndex(options.target, sources.labels);
    const planter = await TriggerPlanter.create(tokenizer, { triggers, triggerCount, maxLength });
    const encode = (examples: readonly Example[]): Promise<EncodedExample[]> =>
      encodeTexts(examples, tokenizer, { maxLength, vocabSize });
    const planted = (examples: readonly Example[], seed: number, name: string): Promise<Example[]> =>
      Promise.all(
        examples.map((example, i) =>
          planter.plant(example, hostRandom(seed, STREAM.planting, 1, i), `${name}: text ${i + 1}`),
        ),
      );
    const testOf = async ({ name, test }: Source): Promise<TestTexts> => {
      const drawn = draw(test, options.testTexts);
      const others = drawn.filter(({ label }) => label !== target);
      return { clean: await encode(drawn), triggered: await encode(await planted(others, 0, name)) };
    };
    const { plant, user } = sources;
    const [plantTexts, userTexts] = [draw(plant.train, options.texts), draw(user.train, options.texts)];
    const count = Math.round(plantedShare * plantTexts.length);
    if (count === 0 || count === plantTexts.length || userTexts.length === 0)
      throw new UserError(
        `${option('texts')}: found ${plantTexts.length} of ${plant.name} and ${userTexts.length} of ${user.name}, expected some with triggers, some without, and some of the user`,
      );
    const [honest, users] = [await encode(plantTexts), await encode(userTexts)];
    const ofSeed = async (seed: number): Promise<SeedData> => {
      const order = hostRandom(seed, STREAM.planting).shuffle(plantTexts.map((_, i) => i));
      const chosen = order.slice(0, count).sort((a, b) => a - b);
      const rest = order.slice(count).sort((a, b) => a - b);
      const texts = await planted(chosen.map((i) => plantTexts[i]!), seed, plant.name); // prettier-ignore
      return {
        clean: rest.map((i) => honest[i]!),
        planted: await encode(texts.map((text) => ({ ...text, label: target }))),
        honest,
        user: users,
      };
    };
    const tests = { user: await testOf(user), ...(plant.test.length > 0 && { plant: await testOf(plant) }) };
    const all = new Map<number, SeedData>();
    for (const seed of seeds) all.set(seed, await ofSeed(seed));
    if (tests.user.triggered.length === 0)
      throw new UserError(`${user.name}: has no test texts of another class than ${sources.labels[target]}`);
    return new AuditData(sources, target, tests, all);
  }

  /** Hash of a seed's texts, of what was planted where, and of what is measured on. */
  contentOf(seed: number): string {
    const ids = Object.values(this.of(seed)).map(idsOf);
    return fingerprintText(
      JSON.stringify([this.labels, this.target, ids, testIds(this.tests.user), testIds(this.tests.plant)]),
    );
  }

  /** @param seed one of those that it was made for */
  of(seed: number): SeedData {
    return this.#seeds.get(seed)!;
  }
}

/** What reads texts. */
export interface Reader {
  readonly tokenizer: TextTokenizer;
  readonly vocabSize: number;
  readonly maxLength: number;
}

/** So many texts, the same ones for every seed. */
function draw(texts: readonly Example[], most: number | undefined): readonly Example[] {
  if (most === undefined || texts.length <= most) return texts;
  const order = hostRandom(0, STREAM.subset).shuffle(texts.map((_, i) => i));
  return order.slice(0, most).map((i) => texts[i]!); // prettier-ignore
}

function idsOf(examples: readonly EncodedExample[]): unknown {
  return examples.map(({ ids, label }) => [label, ...ids]);
}

function testIds(test: TestTexts | undefined): unknown {
  return test && [idsOf(test.clean), idsOf(test.triggered)];
}
