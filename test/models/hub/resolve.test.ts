/** Protects: names become folders of the files that are read and no others, and what cannot be used is refused before its weights come. */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveAdapter, resolveModel, type ResolveOptions } from '../../../models/hub/resolve.ts';
import { hubName } from '../../../models/hub/repo.ts';
import { FakeHub } from './fake-hub.ts';

let hub: FakeHub;
let cacheDir: string;
let options: ResolveOptions;

beforeEach(async () => {
  hub = await FakeHub.start();
  cacheDir = await mkdtemp(join(tmpdir(), 'hub-'));
  options = { endpoint: hub.endpoint, token: false, cacheDir, retryDelay: 1 };
});

afterEach(async () => {
  await hub.stop();
  await rm(cacheDir, { recursive: true, force: true });
});

const filesOf = async (folder: Promise<string>): Promise<string[]> => readdirSync(await folder).sort();

describe('a model', () => {
  it('is a folder where there is one, and the hub is not asked', async () => {
    expect(await resolveModel(cacheDir, options)).toBe(cacheDir);
    expect(await resolveModel('/no/such/folder', options)).toBe('/no/such/folder');
    expect(await resolveModel('./no-such', options)).toBe('./no-such');
    expect(hub.requests).toEqual([]);
    await expect(resolveModel(cacheDir, { ...options, revision: 'v1' })).rejects.toThrow(
      /found a folder, expected a name/,
    );
  });

  it('brings what is read, and nothing else', async () => {
    const files = [
      'config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
      'chat_template.jinja',
    ];
    const others = [
      'pytorch_model.bin',
      'README.md',
      'onnx/model.onnx',
      'vocab.txt',
      'consolidated.safetensors',
      'tf_model.h5',
    ];
    hub.add('models', 'tiny', Object.fromEntries([...files, ...others].map((name) => [name, name])));
    expect(await filesOf(resolveModel('tiny', options))).toEqual([...files].sort());
    expect(hubName(await resolveModel('tiny', options))).toBe('tiny');
  });

  it('brings what a tokenizer can be made of where it has none', async () => {
    hub.add('models', 'ann/old', { 'config.json': '{}', 'model.safetensors': 'x', 'vocab.txt': 'a' });
    expect(await filesOf(resolveModel('ann/old', options))).toEqual(['config.json', 'model.safetensors', 'vocab.txt']);
    expect(hubName(await resolveModel('ann/old', options))).toBe('ann/old');
  });

  it('brings the shards that its index names', async () => {
    const map = { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' };
    const index = JSON.stringify({ metadata: {}, weight_map: map });
    const files = {
      'config.json': '{}',
      'model.safetensors.index.json': index,
      [map.a]: 'A',
      'model-fp16.safetensors': 'C',
    };
    hub.add('models', 'ann/big', files);
    await expect(resolveModel('ann/big', options)).rejects.toThrow(
      /no file "model-00002-of-00002.safetensors".*, which model.safetensors.index.json names/,
    );
    hub.add('models', 'ann/big', { ...files, [map.b]: 'B' });
    expect(await filesOf(resolveModel('ann/big', options))).toEqual(
      ['config.json', map.a, map.b, 'model.safetensors.index.json'].sort(),
    );
  });

  it('of PyTorch weights alone is refused, with what to do', async () => {
    hub.add('models', 'ann/bin', { 'config.json': '{}', 'pytorch_model.bin': 'x' });
    await expect(resolveModel('ann/bin', options)).rejects.toThrow(
      /ann\/bin: only PyTorch weights \(pytorch_model.bin\), expected safetensors; convert with: python -c ".*" ann\/bin DIR, then name DIR/,
    );
    hub.add('models', 'ann/none', { 'config.json': '{}' });
    await expect(resolveModel('ann/none', options)).rejects.toThrow(/no weights in it, expected model.safetensors or/);
    expect(existsSync(join(cacheDir, 'models--ann--bin', 'blobs'))).toBe(false);
  });

  it('that is an adapter is told', async () => {
    hub.add('models', 'ann/lora', { 'adapter_config.json': '{}', 'adapter_model.safetensors': 'x' });
    await expect(resolveModel('ann/lora', options)).rejects.toThrow(
      /no file "config.json".*it is an adapter: its base is the model/,
    );
  });

  it('comes from an earlier commit by its name or behind @', async () => {
    const files = { 'config.json': '{}', 'model.safetensors': 'x' };
    hub.add('models', 'ann/tiny', { ...files, 'config.json': '{"v":1}' }, { revision: 'v1' });
    hub.add('models', 'ann/tiny', files);
    const byFlag = await resolveModel('ann/tiny', { ...options, revision: 'v1' });
    expect(await resolveModel('ann/tiny@v1', options)).toBe(byFlag);
    expect(await resolveModel('ann/tiny', options)).not.toBe(byFlag);
  });
});

describe('an adapter', () => {
  it('brings PEFT’s files and this project’s', async () => {
    const files = ['adapter_config.json', 'adapter_model.safetensors', 'labels.json', 'plan.json'];
    hub.add(
      'models',
      'ann/lora',
      Object.fromEntries([...files, 'optimizer.bin', 'README.md'].map((name) => [name, name])),
    );
    expect(await filesOf(resolveAdapter('ann/lora', options))).toEqual(files);
  });

  it('without weights that are read is refused', async () => {
    hub.add('models', 'ann/old', { 'adapter_config.json': '{}', 'adapter_model.bin': 'x' });
    await expect(resolveAdapter('ann/old', options)).rejects.toThrow(/found only adapter_model.bin; save it again/);
    hub.add('models', 'ann/model', { 'config.json': '{}' });
    await expect(resolveAdapter('ann/model', options)).rejects.toThrow(/no file "adapter_config.json".*it is a model/);
    mkdirSync(join(cacheDir, 'here'));
    expect(await resolveAdapter(join(cacheDir, 'here'), options)).toBe(join(cacheDir, 'here'));
  });
});
