/** Room: data/hub. The data sets of the Hugging Face hub that hold the tasks' rows. A table. */

/** A data set, and the one of its configurations that is meant, where it has several. */
export interface HubName {
  readonly dataset: string;
  readonly config?: string;
}

const GLUE = 'nyu-mll/glue';
const SUPERGLUE = 'aps/super_glue';
const WINOGRANDE = 'allenai/winogrande';
const ARC = 'allenai/ai2_arc';

/** All configurations of a data set that are called as the tasks are. */
function each(dataset: string, prefix: string, configs: readonly string[]): Readonly<Record<string, HubName>> {
  return Object.fromEntries(configs.map((config) => [`${prefix}${config}`, { dataset, config }]));
}

/** By the names of tasks. Those of scripts alone stand where others have put them as files. */
export const HUB_NAMES: Readonly<Record<string, HubName>> = {
  ...each(GLUE, 'glue/', ['cola', 'sst2', 'mrpc', 'stsb', 'qqp', 'mnli', 'qnli', 'rte', 'wnli', 'ax']),
  // The other configurations have no training data.
  'glue/mnli_matched': { dataset: GLUE, config: 'mnli' },
  'glue/mnli_mismatched': { dataset: GLUE, config: 'mnli' },
  ...each(SUPERGLUE, 'superglue/', ['boolq', 'cb', 'copa', 'multirc', 'record', 'rte', 'wic', 'wsc', 'axb', 'axg']),
  squad: { dataset: 'rajpurkar/squad' },
  squad_v2: { dataset: 'rajpurkar/squad_v2' },
  boolq: { dataset: 'google/boolq' },
  piqa: { dataset: 'baber/piqa' },
  social_iqa: { dataset: 'lighteval/siqa' },
  hellaswag: { dataset: 'Rowan/hellaswag' },
  winogrande: { dataset: WINOGRANDE, config: 'winogrande_xl' },
  ...each(
    WINOGRANDE,
    '',
    ['xs', 's', 'm', 'l', 'xl', 'debiased'].map((size) => `winogrande_${size}`),
  ),
  arc_easy: { dataset: ARC, config: 'ARC-Easy' },
  arc_challenge: { dataset: ARC, config: 'ARC-Challenge' },
  openbookqa: { dataset: 'allenai/openbookqa', config: 'main' },
};
