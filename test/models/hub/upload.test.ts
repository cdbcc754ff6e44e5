/** Protects: what is sent to a hub arrives whole, in one commit, in a repository that is made where it is not there. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRepo, uploadFiles } from '../../../models/hub/upload.ts';
import type { HubOptions } from '../../../models/hub/settings.ts';
import { fail, FakeHub } from './fake-hub.ts';

let hub: FakeHub;
let options: HubOptions;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.token = 'secret';
  options = { endpoint: hub.endpoint, token: 'secret', retryDelay: 1 };
});

afterEach(() => hub.stop());

const FILES = new Map([
  ['adapter_config.json', new Blob(['{"r":4}'])],
  ['adapter_model.safetensors', new Blob([new Uint8Array(100_003).fill(7)])],
]);

describe('an upload', () => {
  it('makes the repository and a commit of files small and large', async () => {
    await createRepo('ann/lora', { ...options, private: true });
    const url = await uploadFiles('ann/lora', FILES, { ...options, commitMessage: 'First try' });
    expect(url).toMatch(/ann\/lora\/commit\/[0-9a-f]{40}$/);
    const repo = hub.repos.get('models/ann/lora')!;
    const files = repo.commits.get(repo.refs.get('main')!)!;
    expect(files.get('adapter_config.json')!.content.toString()).toBe('{"r":4}');
    expect(files.get('adapter_model.safetensors')!.content.equals(Buffer.alloc(100_003, 7))).toBe(true);
    expect(hub.created).toMatchObject([
      { name: 'lora', organization: 'ann', type: 'model', visibility: 'private' },
      { commit: 'First try', revision: 'main' },
    ]);
    expect(new Set(hub.requests.map(({ token }) => token))).toEqual(new Set(['Bearer secret']));
    expect(hub.cdnRequests.map(({ token }) => token)).toEqual([undefined]);
  });

  it('goes to a branch, and into a repository that is there', async () => {
    for (let i = 0; i < 2; i++) {
      await createRepo('ann/lora', options);
      await uploadFiles('ann/lora', FILES, { ...options, revision: 'v2' });
    }
    const { refs, commits } = hub.repos.get('models/ann/lora')!;
    expect(commits.get(refs.get('v2')!)!.size).toBe(2);
    expect(commits.get(refs.get('main')!)!.size).toBe(0);
    expect(hub.created.at(-1)).toMatchObject({ commit: 'Upload lora with light-peft', revision: 'v2' });
  });

  it('is refused in one line', async () => {
    await expect(createRepo('ann/lora', { ...options, token: false })).rejects.toThrow(
      /ann\/lora: no token: give one that may write/,
    );
    await expect(createRepo('lora', options)).rejects.toThrow(/lora: found no owner, expected user\/name/);
    await expect(createRepo('ann/lora', { ...options, token: 'wrong' })).rejects.toThrow(/does not know the token/);
    await expect(createRepo('ann/lora', { ...options, localFilesOnly: true })).rejects.toThrow(
      /`localFilesOnly` is set/,
    );
    hub.fault = (_, response) => (fail(response, 403, undefined, 'You may only read'), true);
    await expect(createRepo('ann/lora', options)).rejects.toThrow(
      /ann\/lora: .* forbids it \(You may only read\); give a token that has access/,
    );
  });
});
