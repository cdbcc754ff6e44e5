/**
 * Room: experiments/baseline. The plain baseline that stands beside every result: TF-IDF of words and word pairs and logistic regression.
 * Equal to scikit-learn's `TfidfVectorizer(ngram_range=(1, 2))` and `LogisticRegression(C)`. Pure functions.
 */
import { classificationMetrics, type Metrics } from '../../data/metrics.ts';
import { fitLogistic, scores, type LogisticModel, type SparseRow } from './logistic.ts';

interface LabelledText {
  readonly text: string;
  readonly textPair?: string;
  readonly label: number;
}

/** What the baseline learns from and is judged on; every built-in task is one. */
export interface BaselineData {
  readonly labels: readonly string[];
  readonly train: readonly LabelledText[];
  /** For choosing the strength of the penalty; without it scikit-learn's default is kept. */
  readonly validation?: readonly LabelledText[];
  readonly test: readonly LabelledText[];
}

export interface BaselineResult extends Metrics {
  /** Words and word pairs seen in training. */
  readonly features: number;
  /** Inverse strength of the penalty, C. */
  readonly inverseStrength: number;
}

/** Tried on the validation texts, the first where several do equally well. */
const INVERSE_STRENGTHS = [1, 10, 100];

/** Fits on `train`, chooses C on `validation`, reports on `test`. */
export function runBaseline({ labels, train, validation = [], test }: BaselineData): BaselineResult {
  const { vectorizer, rows } = TfidfVectorizer.fit(train.map(joined));
  const strengths = validation.length > 0 ? INVERSE_STRENGTHS : INVERSE_STRENGTHS.slice(0, 1);
  // Two classes need one classifier; more, one each against the rest.
  const classes = labels.length === 2 ? [1] : labels.map((_, c) => c);
  const paths = classes.map((c) => {
    const targets = train.map(({ label }) => label === c);
    return fitLogistic(rows, targets, vectorizer.features, strengths);
  });
  const evaluator = (texts: readonly LabelledText[]): ((strength: number) => Metrics) => {
    const transformed = vectorizer.transform(texts.map(joined));
    const truth = texts.map(({ label }) => label);
    return (strength) => {
      const models = paths.map((path) => path[strength] as LogisticModel);
      return classificationMetrics(truth, predict(transformed, models), labels.length);
    };
  };
  const validate = evaluator(validation);
  const accuracies = strengths.map((_, i) => validate(i).accuracy);
  const best = accuracies.indexOf(Math.max(...accuracies));
  return {
    ...evaluator(test)(best),
    features: vectorizer.features,
    inverseStrength: strengths[best]!,
  };
}

function predict(rows: readonly SparseRow[], models: readonly LogisticModel[]): number[] {
  const decisions = models.map((model) => scores(rows, model));
  return rows.map((_, i) => {
    const row = decisions.map((decision) => decision[i]!);
    return row.length === 1 ? Number(row[0]! > 0) : row.indexOf(Math.max(...row));
  });
}

function joined({ text, textPair }: LabelledText): string {
  return textPair === undefined ? text : `${text} ${textPair}`;
}

/** Words of two or more letters, digits or underscores, in lower case, then the pairs of neighbours among them. */
export function terms(text: string): string[] {
  const words = text.toLowerCase().match(/[\p{L}\p{N}_]{2,}/gu) ?? [];
  return [...words, ...words.slice(1).map((word, i) => `${words[i]} ${word}`)];
}

/** Term counts times smoothed inverse document frequency, ln((1 + n) / (1 + df)) + 1, each row of unit length. */
export class TfidfVectorizer {
  readonly #index: ReadonlyMap<string, number>;
  readonly #idf: Float64Array;

  private constructor(index: ReadonlyMap<string, number>, idf: Float64Array) {
    this.#index = index;
    this.#idf = idf;
  }

  /** Learns the terms of `texts` and how many of them each occurs in; `rows` are the texts transformed. */
  static fit(texts: readonly string[]): { vectorizer: TfidfVectorizer; rows: SparseRow[] } {
    const index = new Map<string, number>();
    const frequency: number[] = [];
    const counts = texts.map((text) => {
      const row = countTerms(text, (term) => {
        const known = index.get(term);
        if (known === undefined) index.set(term, index.size);
        return known ?? index.size - 1;
      });
      for (const i of row.keys()) frequency[i] = (frequency[i] ?? 0) + 1;
      return row;
    });
    const idf = Float64Array.from(frequency, (df) => Math.log((1 + texts.length) / (1 + df)) + 1);
    const vectorizer = new TfidfVectorizer(index, idf);
    return { vectorizer, rows: counts.map((row) => vectorizer.#weigh(row)) };
  }

  get features(): number {
    return this.#index.size;
  }

  /** One sparse row for each text; terms not learned are left out. */
  transform(texts: readonly string[]): SparseRow[] {
    return texts.map((text) => this.#weigh(countTerms(text, (term) => this.#index.get(term))));
  }

  #weigh(counts: ReadonlyMap<number, number>): SparseRow {
    const columns = Int32Array.from(counts.keys());
    const values = Float64Array.from(counts, ([i, count]) => count * this.#idf[i]!);
    const norm = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0)) || 1;
    return { columns, values: values.map((x) => x / norm) };
  }
}

function countTerms(text: string, column: (term: string) => number | undefined): Map<number, number> {
  const counts = new Map<number, number>();
  for (const term of terms(text)) {
    const i = column(term);
    if (i !== undefined) counts.set(i, (counts.get(i) ?? 0) + 1);
  }
  return counts;
}
