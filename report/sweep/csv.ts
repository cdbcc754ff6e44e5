/** Room: report/sweep. Trials as records for other programs: flat JSON, and CSV. Pure. */
import { csvText } from '../csv.ts';
import type { SweepData } from './schema.ts';

type Cell = SweepData['trials'][number]['config'][string];

/** A trial with each option as `config.NAME` and each figure as `metrics.NAME`. */
type FlatTrial = Readonly<Record<string, Cell>>;

/** An array of records; an option that a trial does not set, and a figure that it does not have, are no keys of its record. */
export function trialsJson({ trials }: SweepData): FlatTrial[] {
  return trials.map((trial) => ({
    id: trial.id,
    state: trial.state,
    ...prefixed('config', trial.config),
    ...prefixed('metrics', trial.metrics),
    seconds: trial.seconds,
    adapter: trial.device?.adapter ?? null,
    software: trial.device?.software ?? null,
    host: trial.device?.host ?? null,
    error: trial.error,
  }));
}

function prefixed(prefix: string, values: Readonly<Record<string, Cell>>): FlatTrial {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}.${name}`, value]));
}

/** A row a trial, columns as the keys of `trialsJson`, axes before other options. */
export function trialsCsv(data: SweepData): string {
  const columns = columnsOf(data);
  return csvText(
    columns,
    trialsJson(data).map((record) => columns.map((name) => record[name])),
  );
}

function columnsOf({ sweep, trials }: SweepData): string[] {
  const options = new Set([...sweep.axes, ...trials.flatMap(({ config }) => Object.keys(config).sort())]);
  const figures = new Set(trials.flatMap(({ metrics }) => Object.keys(metrics)));
  return [
    'id',
    'state',
    ...[...options].map((name) => `config.${name}`),
    ...[...figures].map((name) => `metrics.${name}`),
    ...['seconds', 'adapter', 'software', 'host', 'error'],
  ];
}
