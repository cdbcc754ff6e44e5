/**
 * Room: cli. The model card of an adapter on a hub: its base, what it was trained on, its scores, what was pruned, and how it is loaded.
 * Reads the adapter's folder.
 */
import { join } from 'node:path';
import { stringify } from 'yaml';
import { HUB_NAMES } from '../data/hub/names.ts';
import { exists } from '../engine/io/files.ts';
import { readLabelFile } from '../peft-model/label-file.ts';
import { readPlan, type Plan } from '../pruning/plan.ts';
import { readTrainRecord, type TrainRecord } from '../train/result-file.ts';
import { METRIC_STYLES } from '../report/metrics.ts';
import { METRICS } from '../report/schema.ts';

/** What a card is about. */
export interface CardSubject {
  /** The adapter's folder. */
  readonly dir: string;
  /** Of the adapter on the hub: `user/name`. */
  readonly name: string;
  /** Of its base on the hub, or a folder's path. */
  readonly base: string;
  /** The content of its `adapter_config.json`. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** Markdown for the repository's README. @throws UserError where a file of the folder is damaged */
export async function adapterCard({ dir, name, base, config }: CardSubject): Promise<string> {
  const readIf = async <T>(file: string, read: (path: string) => Promise<T>): Promise<T | undefined> =>
    (await exists(join(dir, file))) ? read(join(dir, file)) : undefined;
  const plan = await readIf('plan.json', readPlan);
  const record = await readIf('train.json', readTrainRecord);
  const labels = (await readIf('labels.json', readLabelFile)) ?? [];
  const rows = [
    ['Base', base],
    ['Method', methodText(config)],
    ...(record?.data === undefined ? [] : [['Trained on', record.data]]),
    ...(labels.length > 0 ? [['Classes', labels.join(', ')]] : []),
    ...(record ? [['Steps', String(record.steps)], ...scoreRows(record)] : []),
    ...(plan ? planRows(plan) : []),
  ];
  return `---
${stringify(frontMatter(base, config, plan, record)).trimEnd()}
---

# ${name.split('/').at(-1)}

${plan ? 'A pruned adapter' : 'An adapter'} for \`${base}\`, made with light-peft.

| | |
|---|---|
${rows.map(([key, value]) => `| ${key} | ${value!.replaceAll('|', '\\|')} |`).join('\n')}

## How to load it

${plan ? prunedUse(name, base) : plainUse(name, base, config, labels.length)}`;
}

function frontMatter(
  base: string,
  { peft_type: type }: CardSubject['config'],
  plan: Plan | undefined,
  record: TrainRecord | undefined,
): Record<string, unknown> {
  const dataset = record?.data === undefined ? undefined : (HUB_NAMES[record.data]?.dataset ?? hubDataSet(record.data));
  return {
    base_model: base,
    library_name: 'peft',
    tags: ['light-peft', String(type).toLowerCase(), ...(plan ? ['pruned'] : [])],
    ...(dataset !== undefined && { datasets: [dataset] }),
  };
}

/** Data that was named on the hub. */
function hubDataSet(name: string): string | undefined {
  return /^[\w.-]+\/[\w.-]+$/.test(name.split('@')[0]!) ? name.split('@')[0] : undefined;
}

function methodText({
  peft_type: type,
  r,
  lora_alpha: alpha,
  target_modules: targets,
  use_dora: dora,
}: CardSubject['config']): string {
  const sizes = typeof r === 'number' ? [`rank ${r}`, ...(typeof alpha === 'number' ? [`alpha ${alpha}`] : [])] : [];
  const names = Array.isArray(targets) && targets.length <= 8 ? [`on ${targets.join(', ')}`] : [];
  return [dora === true ? 'DORA' : String(type), ...sizes, ...names].join(', ');
}

function scoreRows({ metrics }: TrainRecord): string[][] {
  const all = (metrics ?? {}) as Readonly<Record<string, unknown>>;
  return METRICS.flatMap((metric) => {
    const value = all[metric];
    const { name, text, unit } = METRIC_STYLES[metric];
    return typeof value === 'number' ? [[name, `${text(value)}${unit && ` ${unit}`}`]] : [];
  });
}

function planRows({ base, layers, modules, origin }: Plan): string[][] {
  const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);
  const heads = sum(layers.map((layer) => layer.heads.length));
  const neurons = sum(layers.map((layer) => layer.neurons.length));
  return [
    ['Pruned by', `${origin.method}, seed ${origin.seed}, after ${origin.steps} steps`],
    ['Heads left', `${heads} of ${base.num_hidden_layers * base.num_attention_heads}`],
    ['Neurons left', `${neurons} of ${base.num_hidden_layers * base.intermediate_size}`],
    ['Modules left', String(Object.keys(modules).length)],
  ];
}

const CLASSES: Readonly<Record<string, string>> = {
  SEQ_CLS: 'AutoModelForSequenceClassification',
  CAUSAL_LM: 'AutoModelForCausalLM',
  QUESTION_ANS: 'AutoModelForQuestionAnswering',
};

function plainUse(name: string, base: string, config: CardSubject['config'], labels: number): string {
  if (config.peft_type === 'BOTTLENECK') return `PEFT has no bottleneck adapters. ${ownUse(name, base)}`;
  const mapping = config.auto_mapping as { readonly base_model_class?: string } | null | undefined;
  const model = CLASSES[String(config.task_type)] ?? mapping?.base_model_class ?? 'AutoModel';
  const classes = labels > 0 && config.task_type === 'SEQ_CLS' ? `, num_labels=${labels}` : '';
  return `\`\`\`python
from peft import PeftModel
from transformers import ${model}

base = ${model}.from_pretrained("${base}"${classes})
model = PeftModel.from_pretrained(base, "${name}")
\`\`\`

${ownUse(name, base)}`;
}

function ownUse(name: string, base: string): string {
  return `With light-peft:

\`\`\`sh
npx light-peft eval --model ${base} --adapter ${name} --data FILE
\`\`\`
`;
}

function prunedUse(name: string, base: string): string {
  return `Its base is cut by \`plan.json\` when it is loaded, which PEFT does not do by itself. ${ownUse(name, base)}
For PEFT, this writes the same as a base with zeros in \`DIR/base\` and an adapter in \`DIR/adapter\`, without loss:

\`\`\`sh
npx light-peft export --model ${base} --adapter ${name} --out DIR
\`\`\`

\`\`\`python
from peft import PeftModel
from transformers import AutoConfig
import transformers

config = AutoConfig.from_pretrained("DIR/base")
base = getattr(transformers, config.architectures[0]).from_pretrained("DIR/base")
model = PeftModel.from_pretrained(base, "DIR/adapter")
\`\`\`
`;
}
