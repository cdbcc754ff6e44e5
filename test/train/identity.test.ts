/** Protects: runs and checkpoints of version 0.1 are the same runs under today's names and spellings, and no others are. */
import { expect, it } from 'vitest';
import { differenceText, factsOf, firstDifference, fromOldKeys } from '../../train/identity.ts';

it('reads the keys of version 0.1, and values as they were typed', () => {
  const then = {
    peft: 'lora',
    loraR: 4,
    clip: 0.5,
    initLoraWeights: 'true',
    targetModules: 'query, value',
    adapterScale: '2.0',
  };
  const now = factsOf({
    method: 'lora',
    r: 4,
    maxGradNorm: 0.5,
    initLoraWeights: true,
    targetModules: ['query', 'value'],
    adapterScale: 2,
    excludeModules: undefined,
  });
  expect(firstDifference(fromOldKeys(then), now)).toBeUndefined();
});

it('names the first fact that differs, also where one side lacks it', () => {
  expect(firstDifference({ r: 4 }, { r: 8 })).toEqual({ key: 'r', before: 4, after: 8 });
  expect(firstDifference({}, { rankPattern: 'query=2' })).toEqual({
    key: 'rankPattern',
    before: undefined,
    after: 'query=2',
  });
  expect(firstDifference({ targetModules: 'query' }, { targetModules: 'query,value' })).toMatchObject({
    key: 'targetModules',
  });
});

it('a hash that version 0.1 did not write says nothing; one that differs does, and names what it is of', () => {
  const then = fromOldKeys({ r: 4, initAdapter: 'out/pruned' });
  expect(firstDifference(then, { r: 4, trainContent: 'sha256:1', initAdapterContent: 'sha256:2' })).toBeUndefined();
  expect(firstDifference(then, { r: 4, initAdapterContent: '' })).toMatchObject({ key: 'initAdapterContent' });
  expect(firstDifference(fromOldKeys({ initAdapter: '' }), { initAdapterContent: 'sha256:2' })).toBeDefined();
  const changed = firstDifference({ trainContent: 'sha256:1' }, { trainContent: 'sha256:2' });
  expect(differenceText(changed!)).toBe('the content of `train` is not what it was');
  const other = firstDifference({ base: 'sha256:1' }, { base: 'sha256:2' });
  expect(differenceText(other!)).toBe('the weights of `model` are not what they were');
});

it('an option that the earlier version did not have was off', () => {
  expect(firstDifference({ r: 4 }, { r: 4, newOption: false })).toBeUndefined();
  expect(firstDifference({ r: 4 }, { r: 4, newOption: true })).toMatchObject({ key: 'newOption' });
});
