/** Sweeps for the tests of reports: two adapters, methods, ratios and seeds; failures; trials stopped early. */
import {
  sweepSchema,
  trialSchema,
  type Device,
  type SchedulerDecision,
  type SweepData,
  type SweepFile,
  type TrialConfig,
  type TrialRecord,
} from '../../../report/sweep/schema.ts';

export const CPU: Device = { adapter: 'llvmpipe', software: true, host: 'a' };
export const GPU: Device = { adapter: 'Radeon 780M', software: false, host: 'b' };

export function sampleFile(changes: Partial<SweepFile> = {}): SweepFile {
  return sweepSchema.parse({
    format: 'light-peft/sweep',
    version: 1,
    id: 'sha256:5eeb',
    name: 'ratios',
    command: 'run',
    commandLine: 'light-peft sweep run --metric accuracy --heads-ratio 0.25,0.5,0.75',
    date: '2026-11-29T10:00:00Z',
    metric: 'accuracy',
    direction: 'maximize',
    axes: ['methods', 'heads-ratio', 'lr', 'seed'],
    trials: 40,
    model: 'checkpoints/light-roberta',
    fingerprint: 'sha256:0',
    sources: 'sha256:1',
    versions: { node: '20.19.0' },
    ...changes,
  });
}

/** Figures that look like measured ones and are the same every time. */
function metricsOf(ratio: number, method: string, seed: number, device: Device): Record<string, number> {
  const noise = Math.sin(seed * 12.9898 + ratio * 78.233 + method.length) * 0.01;
  const speed = (device === GPU ? 30_000 : 7_000) * (1 + ratio / 2) * (1 + noise);
  const accuracy = 0.86 - ratio * (method === 'random' ? 0.12 : 0.05) + noise;
  return {
    accuracy,
    f1: accuracy - 0.01,
    loss: 1 - accuracy,
    trainTokensPerSecond: speed,
    inferExamplesPerSecond: speed / 60,
    trainPeakBytes: 90e6 * (1 - ratio / 3),
    blockShare: 1 - ratio * 0.8,
    trainableShare: 1 - ratio / 2,
    trainSeconds: 1e5 / speed,
  };
}

export function trial(id: string, config: TrialConfig, changes: Partial<TrialRecord> = {}): TrialRecord {
  return trialSchema.parse({
    id,
    config,
    state: 'done',
    metrics: {},
    seconds: 12,
    device: CPU,
    error: null,
    ...changes,
  });
}

/** Two adapters, two methods that prune and one that does not, three ratios, three seeds; two failures and two that were stopped. */
function sampleTrials(): TrialRecord[] {
  const pruning = ['light-peft', 'random'].flatMap((methods) =>
    [0.25, 0.5, 0.75].map((ratio) => ({ methods, 'heads-ratio': ratio, lr: 0.001 })),
  );
  const configs: TrialConfig[] = [...pruning, { methods: 'lora', lr: 0.001 }];
  return [CPU, GPU].flatMap((device, machine) =>
    configs.flatMap((config, i) =>
      [0, 1, 2].map((seed): TrialRecord => {
        const id = `t${machine}-${i}-${seed}`;
        const ratio = typeof config['heads-ratio'] === 'number' ? config['heads-ratio'] : 0;
        const own = { ...config, seed };
        if (machine === 0 && i === 0 && seed === 2)
          return trial(id, own, {
            state: 'failed',
            error: 'Error: no memory for <b>"x"</b> & more\n  at step 3',
            device,
          });
        if (machine === 1 && i === 5 && seed === 2) return trial(id, own, { state: 'stopped', metrics: { accuracy: 0.61 }, device }); // prettier-ignore
        return trial(id, own, {
          metrics: metricsOf(ratio, typeof config.methods === 'string' ? config.methods : '', seed, device),
          device,
          seconds: 20 + i,
        });
      }),
    ),
  );
}

/** Sixteen trials over three rungs, four times as few at each. */
export function sampleDecisions(): SchedulerDecision[] {
  const value = (trial: number, step: number): number => 0.5 + 0.2 * (1 - 20 / (20 + step)) + ((trial * 7) % 16) / 100;
  const rungs = [
    { step: 20, trials: Array.from({ length: 16 }, (_, i) => i) },
    { step: 80, trials: [3, 7, 9, 15] },
    { step: 320, trials: [9] },
  ];
  return rungs.flatMap(({ step, trials }, rung) =>
    trials.map((i) => ({
      trial: `r${i}`,
      rung,
      step,
      value: value(i, step),
      metrics: { accuracy: value(i, step) },
      seconds: step / 10,
      device: GPU,
      promoted: (rungs[rung + 1]?.trials ?? []).includes(i) ? [`r${i}`] : [],
    })),
  );
}

export function sampleSweep(): SweepData {
  const trials = sampleTrials();
  return {
    sweep: sampleFile({ trials: trials.length + 1 }),
    trials,
    decisions: [],
    final: {
      format: 'light-peft/sweep-final',
      version: 1,
      split: 'test',
      chosen: 'the best mean accuracy over seeds, and the reference',
      trials: ['t1-1-0', 't1-1-1', 't1-1-2', 't1-6-0', 't1-6-1'].map((id, i) => ({
        id,
        metrics: { accuracy: 0.81 + i / 100, loss: 0.4 },
        device: GPU,
      })),
    },
  };
}

/** A search of random configurations under ASHA. */
export function randomSweep(count: number): SweepData {
  const trials = Array.from({ length: count }, (_, i) => {
    const random = (n: number): number => Math.abs(Math.sin((i + 1) * 12.9898 + n * 78.233) * 43758.5453) % 1;
    const config = {
      lr: Number((10 ** (-5 + 3 * random(0))).toPrecision(3)),
      'heads-ratio': Number(random(1).toFixed(3)),
      'neurons-ratio': Number(random(2).toFixed(3)),
      'lora-r': [4, 8, 16, 32][Math.floor(random(3) * 4)]!,
      targets: [
        ['query', 'value'],
        ['query', 'key', 'value'],
      ][Math.floor(random(4) * 2)]!,
      peft: ['lora', 'houlsby', 'pfeiffer'][Math.floor(random(5) * 3)]!,
      seed: i % 3,
    };
    const metrics = metricsOf(config['heads-ratio'], config.peft, i, GPU);
    const state = i < 16 && i !== 9 ? 'stopped' : 'done';
    return trial(`r${i}`, config, { metrics, device: GPU, state });
  });
  const axes = ['lr', 'heads-ratio', 'neurons-ratio', 'lora-r', 'targets', 'peft', 'seed'];
  const scheduler = { name: 'asha', minSteps: 20, reductionFactor: 4 } as const;
  return { sweep: sampleFile({ axes, trials: count, scheduler }), trials, decisions: sampleDecisions() };
}
