/**
 * Protects: adapter folders. What PEFT 0.21 wrote is read and written again unchanged; what cannot be computed here is refused by
 * key; a pruned adapter is described without loss.
 */
import { readdirSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { openSafetensors, writeSafetensors, type TensorEntry } from '../../engine/io/safetensors.ts';
import type { BottleneckConfig } from '../../peft/bottleneck/config.ts';
import { configFor, moduleFor, parsePeftConfig, peftConfigJson, type PeftConfig } from '../../peft/config.ts';
import { alphaFor, type LoraConfig } from '../../peft/lora/config.ts';
import { methodOf } from '../../peft/config.ts';
import { readAdapter, writeAdapter, type Adapter, type AdapterTensor } from '../../peft/files.ts';
import { factorShape, type PeftModule } from '../../peft/module.ts';

const GOLDENS = join(import.meta.dirname, '../goldens');
const INIT = join(GOLDENS, 'roberta/adapter-init');
const PATTERNS = join(GOLDENS, 'families/bert-qa/adapters/lora-patterns');
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'peft-'));
});
afterAll(() => rm(dir, { recursive: true }));

const json = async (path: string): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;

function factors(modules: readonly PeftModule[], config: PeftConfig): Map<string, AdapterTensor> {
  const method = methodOf(config, modules);
  const tensor = (shape: number[]): AdapterTensor => ({
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i / 7),
  });
  return new Map(
    modules.flatMap((m) => method.factors(m).map((factor) => [factor.name, tensor(factorShape(factor, m))] as const)),
  );
}

const at = (name: string, config: PeftConfig): PeftModule => moduleFor({ name, inFeatures: 6, outFeatures: 6 }, config);

/** The folder of every method for every family. */
const FAMILIES = readdirSync(join(GOLDENS, 'families')).flatMap((family) =>
  ['lora', 'lora-patterns', 'dora', 'ia3'].map((method) => `families/${family}/adapters/${method}`),
);

describe('folders written by PEFT', () => {
  test.each(['roberta/adapter-init', 'bert/adapter-final', ...FAMILIES])(
    '%s is read and written again, byte for byte',
    async (name) => {
      const source = join(GOLDENS, name);
      await writeAdapter(join(dir, 'again'), await readAdapter(source));
      expect(await readdir(join(dir, 'again'))).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
      const [again, original] = await Promise.all(
        [join(dir, 'again'), source].map((d) => readFile(join(d, 'adapter_model.safetensors'))),
      );
      expect(again!.equals(original!)).toBe(true);
      const written = await json(join(dir, 'again/adapter_config.json'));
      expect(written).toEqual(await json(join(source, 'adapter_config.json')));
      expect(Object.keys(written)).toEqual(Object.keys(await json(join(source, 'adapter_config.json'))));
    },
  );

  test('modules, values and head', async () => {
    const { config, modules, tensors } = await readAdapter(INIT);
    expect(config).toMatchObject({
      method: 'lora',
      r: 4,
      alpha: 8,
      dropout: 0,
      modulesToSave: ['classifier', 'score'],
    });
    expect(modules).toHaveLength(12);
    expect(modules.find((m) => m.name === 'roberta.encoder.layer.1.output.dense')).toEqual({
      name: 'roberta.encoder.layer.1.output.dense',
      inFeatures: 64,
      outFeatures: 32,
      ranks: 4,
      scaling: 2,
    });
    expect([...tensors.keys()].filter((n) => n.startsWith('classifier.'))).toHaveLength(4);
    expect(tensors.get('roberta.encoder.layer.0.intermediate.dense.lora_B.weight')).toMatchObject({ shape: [64, 4] });
    expect(tensors.get('roberta.encoder.layer.0.attention.self.query.lora_A.weight')!.data.some((v) => v !== 0)).toBe(
      true,
    );
  });

  test('ranks, alphas and scalings follow patterns and rsLoRA', async () => {
    const { config, modules } = await readAdapter(PATTERNS);
    const lora = config as LoraConfig;
    const [query, key] = ['query', 'key'].map((n) => `bert.encoder.layer.0.attention.self.${n}`) as [string, string];
    expect([at(query, lora).ranks, alphaFor(query, lora), at(query, lora).scaling]).toEqual([2, 5, 5 / Math.SQRT2]);
    expect([at(key, lora).ranks, alphaFor(key, lora), at(key, lora).scaling]).toEqual([4, 4, 2]);
    expect(at(query, { ...lora, useRslora: false } as LoraConfig).scaling).toBe(2.5);
    expect(modules.find((m) => m.name === query)).toMatchObject({ ranks: 2, scaling: 5 / Math.SQRT2 });
  });

  test('DoRA has a magnitude per output, (IA)³ a vector of inputs or outputs', async () => {
    const families = join(GOLDENS, 'families/bert-qa/adapters');
    const [dora, ia3] = await Promise.all(['dora', 'ia3'].map((name) => readAdapter(join(families, name))));
    const names = ['attention.self.key', 'output.dense'].map((part) => `bert.encoder.layer.0.${part}`) as [
      string,
      string,
    ];
    expect(dora!.config).toMatchObject({ method: 'dora', r: 2, alpha: 4 });
    expect(dora!.tensors.get(`${names[1]}.lora_magnitude_vector`)?.shape).toEqual([32]);
    expect(ia3!.config).toMatchObject({ method: 'ia3', feedforwardModules: ['output.dense'] });
    const sizes = names.map((name) => ia3!.modules.find((m) => m.name === name));
    expect(sizes).toMatchObject([
      { inFeatures: 0, outFeatures: 32, ranks: 0 },
      { inFeatures: 64, outFeatures: 0, ranks: 0 },
    ]);
  });
});

describe('configurations', () => {
  const base = { peft_type: 'LORA', target_modules: ['query'] };

  test.each([
    [{ peft_type: 'VERA' }, 'key "peft_type": found "VERA", expected "LORA", "IA3" or "BOTTLENECK"'],
    [{ bias: 'some' }, 'key "bias": found "some", expected'],
    [{ use_qalora: true }, 'key "use_qalora": found true, which is not supported'],
    [{ lora_bias: true }, 'key "lora_bias": found true'],
    [{ r: 0 }, 'key "r": found 0, expected an integer from 1'],
    [{ lora_dropout: 1 }, 'key "lora_dropout": found 1, expected a number in [0, 1)'],
    [{ target_modules: 3 }, 'key "target_modules": found 3, expected'],
    [{ rank_pattern: { query: 1.5 } }, 'key "rank_pattern.query": found 1.5, expected an integer from 1'],
    [
      { init_lora_weights: 'pissa' },
      'key "init_lora_weights": found "pissa", expected true, false, gaussian, eva or orthogonal',
    ],
    [{ target_parameters: ['w'] }, 'key "target_parameters": found ["w"], which is not supported'],
    [{ layer_replication: [[0, 2]] }, 'key "layer_replication": found [[0,2]]'],
    [{ a_feature_of_the_future: 3 }, 'key "a_feature_of_the_future": found 3, which is not supported'],
  ])('%j is refused', (change, message) => {
    const parse = (): unknown => parsePeftConfig({ ...base, ...change }, 'f');
    expect(parse).toThrow(UserError);
    expect(parse).toThrow(`f: ${message}`);
  });

  test('absent keys have the defaults of PEFT, harmless ones are kept', () => {
    const config = parsePeftConfig({ ...base, use_new_thing: false, revision: 'main', layers_to_transform: 3 }, 'f');
    expect(config).toMatchObject({ r: 8, alpha: 8, dropout: 0, useRslora: false, init: true, layersToTransform: [3] });
    expect(config.modulesToSave).toEqual([]);
    expect(peftConfigJson(config)).toMatchObject({ revision: 'main', use_new_thing: false, modules_to_save: null });
  });

  test('a bottleneck configuration survives writing and reading', () => {
    const raw = {
      peft_type: 'BOTTLENECK',
      bottleneck_size: 8,
      bottleneck_size_pattern: { 'layer.0.output.dense': 3 },
      non_linearity: 'gelu_new',
      adapter_dropout: 0.1,
      scaling: 0.5,
      use_parallel_adapter: true,
      target_modules: ['output.dense'],
      init_weights: 'mam_adapter',
      modules_to_save: ['classifier'],
      task_type: 'SEQ_CLS',
      base_model_name_or_path: 'base',
      bias: 'none',
      inference_mode: true,
    };
    const config = parsePeftConfig(raw, 'f') as BottleneckConfig;
    expect(config).toMatchObject({ method: 'bottleneck', size: 8, nonLinearity: 'gelu_tanh', parallel: true });
    expect(at('bert.encoder.layer.0.output.dense', config).ranks).toBe(3);
    expect(peftConfigJson(config)).toEqual(raw);
    const hub = { ...raw, scaling: 'learned', adapter_bias: true, dropout_place: 'output', original_ln_before: true };
    const whole = { ...hub, residual_before_ln: 'post_add', non_linearity: 'swish' };
    expect(peftConfigJson(parsePeftConfig(whole, 'f'))).toEqual(whole);
  });
});

describe('pruned adapters', () => {
  const name = (layer: number, part: string): string => `roberta.encoder.layer.${layer}.${part}`;
  const modules: PeftModule[] = [
    { name: name(1, 'attention.self.query'), inFeatures: 6, outFeatures: 4, ranks: 3, scaling: 16 / 8 },
    { name: name(11, 'attention.self.query'), inFeatures: 6, outFeatures: 6, ranks: 1, scaling: 16 / 8 },
    { name: name(1, 'output.dense'), inFeatures: 5, outFeatures: 6, ranks: 8, scaling: 16 / 8 },
  ];

  test.each([false, true])('LoRA keeps the scaling of its original rank (rsLoRA %s)', async (useRslora) => {
    const raw = { peft_type: 'LORA', target_modules: 'all-linear', lora_alpha: 16 };
    const original: LoraConfig = { ...(parsePeftConfig(raw, 'f') as LoraConfig), useRslora };
    const scaled = modules.map((m) => ({ ...m, scaling: at(m.name, original).scaling }));
    const config = configFor(scaled, original) as LoraConfig;
    expect(config.rankPattern).toEqual({ [modules[0]!.name]: 3, [modules[1]!.name]: 1 });
    expect(Object.keys(config.alphaPattern)).toHaveLength(2);
    await writeAdapter(join(dir, 'pruned'), { config, modules: scaled, tensors: factors(scaled, config) });
    const back = await readAdapter(join(dir, 'pruned'));
    expect(back.tensors).toEqual(factors(scaled, config));
    for (const module of scaled) {
      const found = back.modules.find((m) => m.name === module.name)!;
      expect(found).toEqual({ ...module, scaling: found.scaling });
      expect(Math.fround(found.scaling)).toBe(Math.fround(module.scaling));
    }
  });

  test('bottleneck adapters keep their sizes', async () => {
    const adapters = [4, 2].map((ranks, i): PeftModule => ({
      name: name(i, 'output.dense'),
      inFeatures: 6,
      outFeatures: 6,
      ranks,
      scaling: 1,
    }));
    const original = parsePeftConfig(
      { peft_type: 'BOTTLENECK', bottleneck_size: 4, target_modules: ['output.dense'] },
      'f',
    );
    const adapter = {
      config: configFor(adapters, original),
      modules: adapters,
      tensors: factors(adapters, original),
    };
    await writeAdapter(join(dir, 'bottleneck'), adapter);
    const back = await readAdapter(join(dir, 'bottleneck'));
    expect(back.modules).toEqual(adapters);
    expect((await json(join(dir, 'bottleneck/adapter_config.json'))).bottleneck_size_pattern).toEqual({
      [adapters[1]!.name]: 2,
    });
  });

  test('trained biases and modules trained whole have the keys PEFT loads them by', async () => {
    const [query, norm] = [name(0, 'attention.self.query'), name(0, 'output.LayerNorm')];
    const raw = { peft_type: 'LORA', target_modules: ['query'], bias: 'all', modules_to_save: ['pooler'] };
    const config = parsePeftConfig(raw, 'f');
    const lora = [at(query, config)];
    const trained = [`${query}.bias`, `${norm}.bias`, 'roberta.pooler.dense.weight'];
    const tensors = factors(lora, config);
    for (const key of trained) tensors.set(key, { shape: [6], data: new Float32Array(6).fill(2) });
    await writeAdapter(join(dir, 'biases'), { config, modules: lora, tensors });
    const file = await openSafetensors(join(dir, 'biases', 'adapter_model.safetensors'));
    const keys = [`${query}.base_layer.bias`, `${norm}.bias`, 'roberta.pooler.dense.weight'];
    expect(file.names).toEqual(expect.arrayContaining(keys.map((key) => `base_model.model.${key}`)));
    await file.close();
    expect((await readAdapter(join(dir, 'biases'))).tensors).toEqual(tensors);
    const none = { config: parsePeftConfig({ ...raw, bias: 'none' }, 'f'), modules: lora, tensors };
    await expect(writeAdapter(join(dir, 'biases'), none)).rejects.toThrow(/query\.bias" is not supported/);
  });

  test('an adapter that lost every module is its head alone', async () => {
    const { config, tensors } = await readAdapter(INIT);
    const head = new Map([...tensors].filter(([n]) => n.startsWith('classifier.')));
    await writeAdapter(join(dir, 'head'), { config: configFor([], config), modules: [], tensors: head });
    const back = await readAdapter(join(dir, 'head'));
    expect(back.modules).toEqual([]);
    expect(back.tensors).toEqual(head);
  });

  test('files that would mean something else are not written', async () => {
    const adapter = await readAdapter(INIT);
    const broken: Adapter[] = [
      { ...adapter, modules: adapter.modules.map((m) => ({ ...m, scaling: 1 })) },
      { ...adapter, modules: adapter.modules.slice(1) },
      { ...adapter, config: { ...adapter.config, targetModules: ['query'] } },
    ];
    for (const wrong of broken) await expect(writeAdapter(join(dir, 'wrong'), wrong)).rejects.toThrow();
    expect(await readdir(dir)).not.toContain('wrong');
  });
});

describe('damaged folders', () => {
  async function damaged(edit: (entries: TensorEntry[]) => TensorEntry[]): Promise<string> {
    const folder = await mkdtemp(join(dir, 'damaged-'));
    await cp(join(INIT, 'adapter_config.json'), join(folder, 'adapter_config.json'));
    const file = await openSafetensors(join(INIT, 'adapter_model.safetensors'));
    const entries: TensorEntry[] = [];
    for (const name of file.names) entries.push({ name, ...file.info(name), data: await file.read(name) });
    await file.close();
    await writeSafetensors(join(folder, 'adapter_model.safetensors'), edit(entries));
    return folder;
  }
  const query = 'base_model.model.roberta.encoder.layer.0.attention.self.query';

  test.each<[string, (entries: TensorEntry[]) => TensorEntry[], RegExp]>([
    [
      'a factor is missing',
      (e) => e.filter((x) => x.name !== `${query}.lora_B.weight`),
      /query\.lora_B\.weight" is missing; all factors/,
    ],
    [
      'a rank is not the configured one',
      (e) => e.map((x) => (x.name === `${query}.lora_A.weight` ? { ...x, shape: [2, 64] } : x)),
      /query\.lora_A\.weight": shape \[2, 64\], expected \[4, in\] by adapter_config/,
    ],
    [
      'a foreign tensor',
      (e) => [
        ...e,
        { name: 'base_model.model.roberta.pooler.weight', dtype: 'F32', shape: [1], data: new Float32Array(1) },
      ],
      /"base_model\.model\.roberta\.pooler\.weight" is not supported, expected a factor .* or part of modules_to_save/,
    ],
    ['another prefix', (e) => e.map((x) => ({ ...x, name: x.name.slice(5) })), /begins with "base_model\.model\."/],
    [
      'a module that is not targeted',
      (e) => e.map((x) => ({ ...x, name: x.name.replace('layer.0.attention.self.query', 'layer.0.other') })),
      /module "roberta\.encoder\.layer\.0\.other" has factors, but is not in target_modules/,
    ],
    ['no factors', (e) => e.filter((x) => !x.name.includes('lora')), /no factors, expected tensors such as/],
  ])('%s', async (_, edit, message) => {
    const folder = await damaged(edit);
    const error: unknown = await readAdapter(folder).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).message).toMatch(message);
    expect((error as UserError).message).toContain(join(folder, 'adapter_model.safetensors'));
  });

  test('missing files', async () => {
    const folder = await mkdtemp(join(dir, 'missing-'));
    await expect(readAdapter(folder)).rejects.toThrow(/adapter_config\.json: no such file/);
    await cp(join(INIT, 'adapter_config.json'), join(folder, 'adapter_config.json'));
    await expect(readAdapter(folder)).rejects.toThrow(/adapter_model\.safetensors: no such file/);
    await writeFile(join(folder, 'adapter_model.bin'), 'x');
    await expect(readAdapter(folder)).rejects.toThrow(/only adapter_model\.bin is there/);
  });
});
