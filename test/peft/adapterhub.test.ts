/** Protects: AdapterHub folders — their exact keys and configuration both ways, both kinds of heads, and what is refused. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { openSafetensors, writeSafetensors, type TensorEntry } from '../../engine/io/safetensors.ts';
import type { ModelConfig } from '../../models/architecture.ts';
import { loadConfig } from '../../models/config.ts';
import { isHubFolder, readHubAdapter, writeHubAdapter } from '../../peft/adapterhub/files.ts';
import { bottleneckNames } from '../../peft/bottleneck/bottleneck.ts';
import { MODELS } from '../train/tiny.ts';

let dir: string;
let roberta: ModelConfig;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hub-'));
  roberta = await loadConfig(MODELS.roberta);
});
afterAll(() => rm(dir, { recursive: true }));

/** What `SeqBnConfig().to_dict()` gives, at the library's defaults. */
const SEQ_BN = {
  adapter_residual_before_ln: false,
  cross_adapter: false,
  dropout: 0.0,
  factorized_phm_W: true,
  factorized_phm_rule: false,
  hypercomplex_nonlinearity: 'glorot-uniform',
  init_weights: 'bert',
  inv_adapter: null,
  inv_adapter_reduction_factor: null,
  is_parallel: false,
  learn_phm: true,
  leave_out: [],
  ln_after: false,
  ln_before: false,
  mh_adapter: false,
  non_linearity: 'relu',
  original_ln_after: true,
  original_ln_before: true,
  output_adapter: true,
  phm_bias: true,
  phm_c_init: 'normal',
  phm_dim: 4,
  phm_init_range: 0.0001,
  phm_layer: false,
  phm_rank: 1,
  reduction_factor: 16,
  residual_before_ln: true,
  scaling: 1.0,
  shared_W_phm: false,
  shared_phm_rule: true,
  stochastic_depth: 0.0,
  use_gating: false,
};
const DOUBLE = { ...SEQ_BN, mh_adapter: true, original_ln_before: false, non_linearity: 'swish' };
const PARALLEL = { ...SEQ_BN, original_ln_before: false, is_parallel: true, scaling: 4.0, init_weights: 'mam_adapter' };

function tensor(name: string, shape: number[], at: number): TensorEntry {
  const size = shape.reduce((a, b) => a * b, 1);
  return { name, dtype: 'F32', shape, data: Float32Array.from({ length: size }, (_, i) => at + i / 100) };
}

/** The keys of an adapter in one place, as the library's state dict has them. */
function place(at: string, ranks: number, learned = false): TensorEntry[] {
  return [
    tensor(`${at}.adapter_down.0.weight`, [ranks, 32], 1),
    tensor(`${at}.adapter_down.0.bias`, [ranks], 2),
    tensor(`${at}.adapter_up.weight`, [32, ranks], 3),
    tensor(`${at}.adapter_up.bias`, [32], 4),
    ...(learned ? [tensor(`${at}.scaling`, [1], 5)] : []),
  ];
}

async function folder(config: Record<string, unknown>, entries: TensorEntry[], top = {}): Promise<string> {
  const path = await mkdtemp(join(dir, 'folder-'));
  const file = { config, hidden_size: 32, model_class: 'RobertaAdapterModel', model_name: 'roberta-base', name: 'sst' };
  const json = { ...file, model_type: 'roberta', version: 'adapters.1.2.0', ...top };
  await writeFile(join(path, 'adapter_config.json'), JSON.stringify(json));
  await writeSafetensors(join(path, 'adapter.safetensors'), entries, { format: 'pt' });
  return path;
}

const layer = (n: number): string => `roberta.encoder.layer.${n}`;
const outputs = (name = 'sst', ranks = 2): TensorEntry[] =>
  [0, 1].flatMap((n) => place(`${layer(n)}.output.adapters.${name}`, ranks));
const attentions = [0, 1].flatMap((n) => place(`${layer(n)}.attention.output.adapters.sst`, 2));

describe('reading', () => {
  test('Pfeiffer: after the FFN, its input normalised first', async () => {
    const path = await folder(SEQ_BN, outputs());
    expect(await isHubFolder(path)).toBe(true);
    const { config, modules, tensors } = await readHubAdapter(path, roberta);
    expect(config).toMatchObject({ method: 'bottleneck', size: 2, biases: true, normBefore: true, residual: true });
    expect(modules.map(({ name, ranks }) => [name, ranks])).toEqual([
      [`${layer(0)}.output.dense`, 2],
      [`${layer(1)}.output.dense`, 2],
    ]);
    expect(tensors.get(bottleneckNames(`${layer(1)}.output.dense`).upBias)?.data[1]).toBeCloseTo(4.01);
  });

  test('Houlsby: both places; keys of bare models; a size of its own for a layer, none for another', async () => {
    const path = await folder({ ...DOUBLE, reduction_factor: { '1': 8, default: 16 }, leave_out: [0] }, [
      ...place('encoder.layer.1.attention.output.adapters.sst', 4),
      ...place('encoder.layer.1.output.adapters.sst', 4),
    ]);
    const { config, modules } = await readHubAdapter(path, roberta);
    expect(config).toMatchObject({ nonLinearity: 'silu', normBefore: false });
    expect(modules.map(({ name, ranks }) => [name, ranks])).toEqual([
      [`${layer(1)}.attention.output.dense`, 4],
      [`${layer(1)}.output.dense`, 4],
    ]);
  });

  test('parallel, with a learned scale', async () => {
    const entries = [0, 1].flatMap((n) => place(`${layer(n)}.output.adapters.sst`, 2, true));
    const { config, tensors } = await readHubAdapter(
      await folder({ ...PARALLEL, scaling: 'learned' }, entries),
      roberta,
    );
    expect(config).toMatchObject({ parallel: true, scaling: 'learned' });
    expect(tensors.get(bottleneckNames(`${layer(0)}.output.dense`).scaling)?.shape).toEqual([1]);
  });

  test('heads: those of transformers, and the library’s own of the same form', async () => {
    const path = await folder(SEQ_BN, outputs());
    const flexible = (...names: string[]): TensorEntry[] =>
      names.map((name, i) => tensor(name, i % 2 ? [32] : [3, 32], i));
    const numbered = ['heads.sst.1.weight', 'heads.sst.1.bias', 'heads.sst.4.weight', 'heads.sst.4.bias'];
    await writeSafetensors(join(path, 'model_head.safetensors'), flexible(...numbered), { format: 'pt' });
    const head = { head_type: 'classification', layers: 2, activation_function: 'tanh', use_pooler: false };
    const label2id = { good: 1, bad: 0, none: 2 };
    await writeFile(join(path, 'head_config.json'), JSON.stringify({ name: 'sst', config: { ...head, label2id } }));
    const read = await readHubAdapter(path, roberta);
    expect(read.labels).toEqual(['bad', 'good', 'none']);
    expect([...read.tensors.keys()].filter((k) => k.startsWith('classifier.'))).toEqual([
      'classifier.dense.bias',
      'classifier.dense.weight',
      'classifier.out_proj.bias',
      'classifier.out_proj.weight',
    ]);
    expect(read.config.modulesToSave).toEqual(['classifier']);
    const pooled = { ...head, use_pooler: true };
    await writeFile(join(path, 'head_config.json'), JSON.stringify({ name: 'sst', config: pooled }));
    await expect(readHubAdapter(path, roberta)).rejects.toThrow(
      /pooler true; expected classification with 2 layers, tanh/,
    );
  });

  test.each([
    [{ phm_layer: true }, /key "phm_layer": found true/],
    [{ inv_adapter: 'nice' }, /key "inv_adapter": found "nice"/],
    [{ use_gating: true }, /key "use_gating": found true/],
    [{ original_ln_after: false }, /key "original_ln_after": found false/],
    [{ architecture: 'prefix_tuning' }, /key "architecture": found "prefix_tuning"/],
    [{ reduction_factor: { '0': 16 } }, /nothing for layer 1, and no "default"/],
    [{ reduction_factor: 8 }, /adapter_down\.0\.bias": shape \[2\], expected \[4\] by/],
    [{ mh_adapter: true }, /attention\.output\.adapters\.sst\.adapter_down\.0\.bias" is missing/],
    [{ leave_out: [1] }, /is not supported, or not in adapter_config\.json/],
  ])('%j is refused', async (change, message) => {
    const read = readHubAdapter(await folder({ ...SEQ_BN, ...change }, outputs()), roberta);
    await expect(read).rejects.toThrow(UserError);
    await expect(read).rejects.toThrow(message);
  });

  test('another base, or weights that are no safetensors, are refused with what to do', async () => {
    await expect(readHubAdapter(await folder(SEQ_BN, outputs(), { model_type: 'bert' }), roberta)).rejects.toThrow(
      /for bert of hidden size 32, the base is roberta/,
    );
    const path = await folder(SEQ_BN, outputs());
    await rm(join(path, 'adapter.safetensors'));
    await writeFile(join(path, 'pytorch_adapter.bin'), 'x');
    await expect(readHubAdapter(path, roberta)).rejects.toThrow(/save_adapter\(dir, "sst", use_safetensors=True\)/);
  });
});

describe('writing', () => {
  test.each([
    ['Pfeiffer', SEQ_BN, outputs()],
    ['Houlsby', DOUBLE, [...attentions, ...outputs()]],
    ['parallel', PARALLEL, outputs()],
  ])('%s: the library’s own keys, values and configuration come back', async (_, bn, entries) => {
    const source = await folder(bn, entries);
    const out = await mkdtemp(join(dir, 'out-'));
    await writeHubAdapter(
      out,
      roberta,
      await readHubAdapter(source, roberta),
      { head: 'classification', labels: [] },
      'sst',
    );
    const [before, after] = await Promise.all(
      [source, out].map((d) => openSafetensors(join(d, 'adapter.safetensors'))),
    );
    expect([...after!.names].sort()).toEqual([...before!.names].sort());
    for (const name of before!.names) expect(await after!.read(name)).toEqual(await before!.read(name));
    await Promise.all([before!.close(), after!.close()]);
    const text = await readFile(join(out, 'adapter_config.json'), 'utf8');
    expect(text).toContain(`"scaling": ${bn.scaling}.0`);
    const written = JSON.parse(text) as { config: unknown };
    expect(written).toMatchObject({ hidden_size: 32, model_type: 'roberta', name: 'sst' });
    expect(written.config).toEqual(bn);
  });

  test('what pruning left unequal is filled with zeros', async () => {
    const read = await readHubAdapter(await folder(DOUBLE, [...attentions, ...outputs()]), roberta);
    const [gone, short] = [`${layer(0)}.attention.output.dense`, `${layer(1)}.output.dense`];
    const tensors = new Map([...read.tensors].filter(([name]) => !name.startsWith(gone)));
    const names = bottleneckNames(short);
    tensors.set(names.down, { shape: [1, 32], data: tensors.get(names.down)!.data.slice(0, 32) });
    tensors.set(names.downBias, { shape: [1], data: tensors.get(names.downBias)!.data.slice(0, 1) });
    tensors.set(names.up, { shape: [32, 1], data: new Float32Array(32).fill(7) });
    const modules = read.modules
      .filter(({ name }) => name !== gone)
      .map((m) => (m.name === short ? { ...m, ranks: 1 } : m));
    const out = await mkdtemp(join(dir, 'out-'));
    await writeHubAdapter(out, roberta, { ...read, modules, tensors }, { head: 'classification', labels: [] }, 'sst');
    const back = await readHubAdapter(out, roberta);
    expect(back.tensors.get(bottleneckNames(gone).up)!.data.every((v) => v === 0)).toBe(true);
    expect(
      back.tensors
        .get(names.down)!
        .data.slice(32)
        .every((v) => v === 0),
    ).toBe(true);
    expect([...back.tensors.get(names.up)!.data.slice(0, 4)]).toEqual([7, 0, 7, 0]);
  });

  test('Llama for question answering calls its layers otherwise, and brings a head for answer spans', async () => {
    const model = await loadConfig(MODELS.llama);
    const layers = Array.from(
      { length: model.numLayers },
      (_, n) => `transformer.layers.${n}.output_adapters.adapters.sst`,
    );
    const d = model.hiddenSize;
    const sized = (at: string): TensorEntry[] => [
      tensor(`${at}.adapter_down.0.weight`, [2, d], 1),
      tensor(`${at}.adapter_down.0.bias`, [2], 2),
      tensor(`${at}.adapter_up.weight`, [d, 2], 3),
      tensor(`${at}.adapter_up.bias`, [d], 4),
    ];
    const top = { model_type: 'llama', hidden_size: d, model_class: 'LlamaForQuestionAnswering' };
    const path = await folder({ ...SEQ_BN, reduction_factor: d / 2 }, layers.flatMap(sized), top);
    const head = [tensor('qa_outputs.weight', [2, d], 6), tensor('qa_outputs.bias', [2], 7)];
    await writeSafetensors(join(path, 'model_head.safetensors'), head, { format: 'pt' });
    await writeFile(join(path, 'head_config.json'), JSON.stringify({ config: null, name: null, label2id: null }));
    const { config, modules, tensors } = await readHubAdapter(path, model);
    expect(modules.map(({ name }) => name)).toEqual(layers.map((_, n) => `model.layers.${n}.mlp.down_proj`));
    expect(tensors.get(bottleneckNames('model.layers.0.mlp.down_proj').upBias)?.data[0]).toBe(4);
    expect(config).toMatchObject({ taskType: 'QUESTION_ANS', modulesToSave: ['qa_outputs'] });
  });

  test.each(['distilbert', 'gpt2', 'llama', 'opt'] as const)('%s has adapters in its layers', async (family) => {
    const model = await loadConfig(MODELS[family]);
    const prefix = model.architecture.block.prefix(0);
    const places = ['attention_adapters', 'output_adapters'].map((p) => `${prefix}.${p}.adapters.sst`);
    const top = { model_type: model.family, hidden_size: model.hiddenSize };
    const config = { ...DOUBLE, leave_out: Array.from({ length: model.numLayers - 1 }, (_, i) => i + 1) };
    const { modules } = await readHubAdapter(
      await folder(
        config,
        places.flatMap((p) => place(p, 2)),
        top,
      ),
      model,
    );
    expect(modules).toHaveLength(2);
  });
});
