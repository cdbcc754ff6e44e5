/** Room: peft. The PEFT configuration that settings ask for, as a new folder would have it. */
import { UserError } from '../engine/errors.ts';
import {
  embeddingTables,
  linearLayers,
  linearName,
  type HeadKind,
  type ModelConfig,
  type Role,
} from '../models/architecture.ts';
import { vocabularyLayers } from '../models/heads.ts';
import type { BottleneckConfig } from './bottleneck/config.ts';
import type { PeftConfig } from './config.ts';
import { withDefaultTargets } from './defaults.ts';
import type { Ia3Config } from './ia3/config.ts';
import type { CommonConfig } from './keys.ts';
import type { LoraConfig } from './lora/config.ts';
import { taskKeys } from './tasks.ts';
import { targetedModules } from './targets.ts';
import type { Settings } from '../train/settings.ts';

/** Methods of PEFT itself. */
const HAS_FAN_IN_OUT: ReadonlySet<Settings['peft']> = new Set(['lora', 'dora', 'ia3']);

/** @throws UserError for names that target nothing, or a pattern that cannot be read */
export function createConfig(settings: Settings, config: ModelConfig, head: HeadKind = 'classification'): PeftConfig {
  const { taskType, modulesToSave, extra } = taskKeys(config, head);
  const common = {
    dropout: settings.dropout,
    taskType,
    baseModel: null,
    modulesToSave: [...modulesToSave, ...names(settings.modulesToSave)],
    // PEFT wants to be told of matrices stored as [in, out].
    extra: {
      ...extra,
      ...(config.architecture.storedInOut && HAS_FAN_IN_OUT.has(settings.peft) && { fan_in_fan_out: true }),
    },
  };
  switch (settings.peft) {
    case 'lora':
    case 'dora':
      return checked(withDefaultTargets(lora(settings, common, config), config.family), config);
    case 'ia3':
      return checked(ia3(settings, common, config), config);
    case 'houlsby':
    case 'pfeiffer':
    case 'parallel':
    case 'adapter':
      return bottleneck(settings, common, config);
  }
}

/** What every method's configuration begins with; its targets come later. */
type Common = Omit<CommonConfig, 'targetModules'>;

function lora(settings: Settings, common: Common, config: ModelConfig): LoraConfig {
  const { initLoraWeights: init } = settings;
  return {
    ...common,
    ...targetRule(settings, config),
    method: settings.peft === 'dora' ? 'dora' : 'lora',
    r: settings.loraR,
    alpha: settings.loraAlpha,
    rankPattern: pattern(settings.rankPattern, 'rank-pattern'),
    alphaPattern: pattern(settings.alphaPattern, 'alpha-pattern'),
    useRslora: settings.useRslora,
    bias: settings.bias,
    init: init === 'true' || init === 'false' ? init === 'true' : init,
  };
}

/** Where only targets are given, the feed-forward modules among them are those of PEFT's defaults. */
function ia3(settings: Settings, common: Common, config: ModelConfig): Ia3Config {
  const rule = targetRule(settings, config);
  const given = nameRule(settings.feedforwardModules);
  const own = { ...common, ...rule, method: 'ia3', dropout: 0, feedforwardModules: given, init: true } as const;
  // All-linear would scale both sides of each neighbour: PEFT's own choice is meant where nothing is named.
  const filled = withDefaultTargets(
    settings.targetModules === ALL_LINEAR ? { ...own, targetModules: undefined } : own,
    config.family,
  );
  if (filled.feedforwardModules !== undefined) return filled;
  const defaults = withDefaultTargets({ ...own, targetModules: undefined }, config.family)
    .feedforwardModules as readonly string[];
  const targets = typeof filled.targetModules === 'string' ? defaults : (filled.targetModules ?? []);
  return {
    ...filled,
    feedforwardModules: targets.filter((name) => defaults.some((d) => name === d || name.endsWith(`.${d}`))),
  };
}

function bottleneck(settings: Settings, common: Common, config: ModelConfig): BottleneckConfig {
  const { peft } = settings;
  const hub = peft !== 'adapter';
  const fallback = peft === 'parallel' ? 4 : 1;
  return {
    ...common,
    method: 'bottleneck',
    targetModules: projections(
      config,
      peft === 'houlsby' || peft === 'adapter' ? ['attentionOutput', 'down'] : ['down'],
    ),
    size: sizeOf(settings, config),
    sizePattern: {},
    nonLinearity:
      settings.adapterActivation === 'swish'
        ? 'silu'
        : (settings.adapterActivation ?? (peft === 'houlsby' ? 'silu' : 'relu')),
    scaling: scaling(settings.adapterScale, fallback),
    parallel: peft === 'parallel' || settings.adapterParallel,
    biases: hub,
    dropoutPlace: hub ? 'output' : 'input',
    normBefore: peft === 'pfeiffer',
    residual: true,
    init: settings.adapterInit === 'lora' ? 'mam_adapter' : settings.adapterInit,
  };
}

/** The output projections that adapters follow, by their whole names: their last parts may be alike. */
function projections(config: ModelConfig, roles: readonly Role[]): string[] {
  const layers = Array.from({ length: config.numLayers }, (_, layer) => layer);
  return layers.flatMap((layer) => roles.map((role) => linearName(config, layer, role)));
}

/** Names of a block's linear layers, each as short as tells it from the others. */
function blockNames({ architecture: { block } }: ModelConfig): string[] {
  const all = Object.values(block.linears).map(({ name }) => name);
  const last = (name: string): string => name.slice(name.lastIndexOf('.') + 1);
  return all.map((name) => (all.filter((other) => last(other) === last(name)).length === 1 ? last(name) : name));
}

function sizeOf({ adapterSize, reductionFactor }: Settings, { hiddenSize }: ModelConfig): number {
  if (adapterSize !== undefined && reductionFactor !== undefined) {
    throw new UserError('--adapter-size and --reduction-factor: give one of them');
  }
  return adapterSize ?? (reductionFactor === undefined ? 8 : Math.max(1, Math.floor(hiddenSize / reductionFactor)));
}

function scaling(text: string | undefined, fallback: number): BottleneckConfig['scaling'] {
  if (text === undefined) return fallback;
  if (text === 'learned' || text === 'channel') return text;
  const value = text.trim() === '' ? NaN : Number(text);
  if (Number.isFinite(value)) return value;
  throw new UserError(`--adapter-scale: found "${text}", expected a number, learned or channel`);
}

const ALL_LINEAR = 'all-linear';

function targetRule(
  settings: Settings,
  config: ModelConfig,
): Pick<CommonConfig, 'targetModules' | 'excludeModules' | 'layersToTransform'> {
  const { targetModules } = settings;
  const rule = nameRule(targetModules);
  const targets = targetModules === 'default' ? undefined : targetModules === ALL_LINEAR ? blockNames(config) : rule;
  if (Array.isArray(targets)) for (const name of targets) checked({ targetModules: [name], modulesToSave: [] }, config);
  const layers = names(settings.layersToTransform).map(Number);
  if (layers.some((n) => !Number.isInteger(n) || n < 0 || n >= config.numLayers)) {
    const found = `found "${settings.layersToTransform}"`;
    throw new UserError(`--layers-to-transform: ${found}, expected numbers from 0 to ${config.numLayers - 1}`);
  }
  const exclude = nameRule(settings.excludeModules);
  return {
    targetModules: targets,
    ...(exclude !== undefined && { excludeModules: exclude }),
    ...(layers.length > 0 && { layersToTransform: layers }),
  };
}

/** A configuration whose targets the model has. */
function checked<C extends Pick<CommonConfig, 'targetModules' | 'modulesToSave'>>(rule: C, config: ModelConfig): C {
  const heads = Object.keys(config.architecture.heads) as HeadKind[];
  const layers = [...linearLayers(config), ...embeddingTables(config)].map(({ name }) => name);
  targetedModules(
    [...layers, ...heads.flatMap((kind) => vocabularyLayers(config, kind)).map(({ name }) => name)],
    rule,
  );
  return rule;
}

/** Names separated by commas, or one regular expression: a text with characters that names do not have. */
function nameRule(text: string | undefined): string[] | string | undefined {
  if (text === undefined) return undefined;
  return /[\\^$*+?()[\]{}|]/.test(text) ? text : names(text);
}

function names(text: string | undefined): string[] {
  return text === undefined ? [] : text.split(',').map((name) => name.trim());
}

/** `query=2,output.dense=16` */
function pattern(text: string | undefined, flag: string): Record<string, number> {
  return Object.fromEntries(
    names(text).map((entry) => {
      const at = entry.lastIndexOf('=');
      const value = Number(entry.slice(at + 1));
      if (at > 0 && value > 0 && (flag !== 'rank-pattern' || Number.isInteger(value)))
        return [entry.slice(0, at), value];
      throw new UserError(`--${flag}: found "${entry}", expected NAME=NUMBER`);
    }),
  );
}
