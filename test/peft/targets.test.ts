/** Protects: the modules a configuration means are those Hugging Face PEFT would choose. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { isInSaved, matchesTarget, patternValue, targetedModules } from '../../peft/targets.ts';

const layer = 'roberta.encoder.layer';
const linears = [0, 1, 11].flatMap((n) =>
  ['attention.self.query', 'attention.self.value', 'attention.output.dense', 'intermediate.dense', 'output.dense'].map(
    (name) => `${layer}.${n}.${name}`,
  ),
);
const all = [...linears, 'classifier.dense', 'classifier.out_proj'];

describe('targets', () => {
  test('a list matches whole names and last parts, never the middle of a part', () => {
    const rule = { targetModules: ['query', 'output.dense', `${layer}.1.intermediate.dense`] };
    const chosen = targetedModules(all, rule);
    expect(chosen.filter((n) => n.endsWith('output.dense'))).toHaveLength(6);
    expect(chosen.filter((n) => n.endsWith('query'))).toHaveLength(3);
    expect(chosen.filter((n) => n.includes('intermediate'))).toEqual([`${layer}.1.intermediate.dense`]);
    expect(matchesTarget('a.subquery', rule)).toBe(false);
    expect(matchesTarget('a.query.b', rule)).toBe(false);
    expect(matchesTarget('query', rule)).toBe(true);
  });

  test('a string is a regular expression on the whole name, in the spelling of Python', () => {
    const chosen = targetedModules(all, { targetModules: '.*layer\\.(?P<n>[01])\\..*(query|value)' });
    expect(chosen).toEqual(linears.filter((n) => /layer\.[01]\.attention\.self/.test(n)));
    expect(matchesTarget('x.query', { targetModules: 'query' })).toBe(false);
    expect(() => matchesTarget('x', { targetModules: '(' })).toThrow(UserError);
  });

  test('all-linear leaves the head out, with all it contains', () => {
    expect(targetedModules(all, { targetModules: 'all-linear' }, 'classifier')).toEqual(linears);
    expect(targetedModules(all, { targetModules: 'All-Linear', modulesToSave: ['classifier'] })).toEqual(linears);
    expect(
      targetedModules(['a', 'lm_head.decoder', 'lm_head.dense'], { targetModules: 'all-linear' }, 'lm_head.decoder'),
    ).toEqual(['a', 'lm_head.dense']);
  });

  test('exclusion and modules trained whole win', () => {
    const rule = {
      targetModules: 'all-linear',
      excludeModules: ['value', 'intermediate.dense'],
      modulesToSave: ['classifier'],
    };
    expect(targetedModules(all, rule).every((n) => /query|output\.dense/.test(n))).toBe(true);
    expect(matchesTarget(`${layer}.0.attention.self.query`, { ...rule, excludeModules: '.*layer\\.0\\..*' })).toBe(
      false,
    );
    expect(matchesTarget('classifier.dense', { targetModules: ['dense'], modulesToSave: ['classifier'] })).toBe(false);
    expect(matchesTarget('my_classifier.dense', { targetModules: ['dense'], modulesToSave: ['classifier'] })).toBe(
      true,
    );
    expect(isInSaved('a.classifier.out_proj.weight', ['classifier'])).toBe(true);
    expect(isInSaved('pre_classifier.weight', ['classifier'])).toBe(true);
    expect(isInSaved('bert.pooler.dense.weight', ['classifier', 'weight'])).toBe(false);
  });

  test('layers can be chosen by number', () => {
    const rule = { targetModules: ['query'], layersToTransform: [1] };
    expect(targetedModules(all, rule)).toEqual([`${layer}.1.attention.self.query`]);
    expect(targetedModules(all, { ...rule, layersPattern: ['layer'] })).toEqual([`${layer}.1.attention.self.query`]);
    expect(matchesTarget(`${layer}.1.attention.self.query`, { ...rule, layersPattern: ['h'] })).toBe(false);
    expect(matchesTarget('encoder.layer.1.experts.0.query', { ...rule, layersToTransform: [0] })).toBe(false);
    expect(matchesTarget('query', rule)).toBe(true);
  });

  test('a configuration that targets nothing is refused', () => {
    expect(() => targetedModules(all, { targetModules: ['q_proj'] })).toThrow(
      /\["q_proj"\] matches no linear module.*roberta/,
    );
  });

  test('exactly the suffixes at a dot match, whatever the names', () => {
    const part = fc.constantFrom('a', 'b', 'ab', 'ba', '0');
    const dotted = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('.'));
    fc.assert(
      fc.property(dotted, fc.array(dotted, { minLength: 1, maxLength: 3 }), (name, targetModules) => {
        const parts = name.split('.');
        const suffixes = parts.map((_, i) => parts.slice(i).join('.'));
        expect(matchesTarget(name, { targetModules })).toBe(targetModules.some((t) => suffixes.includes(t)));
      }),
    );
  });
});

describe('patterns that backtrack without end', () => {
  const name = `${layer}.1.attention.self.query`;
  const endless = '([a-z.0-9]+)+X';

  test.each([
    ['target_modules', () => matchesTarget(name, { targetModules: endless })],
    ['rank_pattern', () => patternValue(name, { [endless]: 2 }, 8, 'rank_pattern')],
  ])(
    '%s: refused by name, after seconds for all names together',
    (key, match) => {
      expect(match).toThrow(UserError);
      const started = performance.now();
      expect(match).toThrow(new RegExp(`^${key}: found the regular expression .*z\\.0-9.* on "${layer}`));
      expect(performance.now() - started).toBeLessThan(1000);
    },
    30_000,
  );
});

describe('patterns', () => {
  const valueOf = (name: string, patterns: Record<string, number>): number =>
    patternValue(name, patterns, 8, 'rank_pattern');

  test('the first pattern that matches the end of the name counts', () => {
    const name = `${layer}.1.attention.self.query`;
    expect(valueOf(name, {})).toBe(8);
    expect(valueOf(name, { query: 2 })).toBe(2);
    expect(valueOf(name, { uery: 2 })).toBe(8);
    expect(valueOf(name, { value: 1, 'self.query': 3, query: 2 })).toBe(3);
    expect(valueOf(name, { 'layer\\.\\d+\\..*query': 4 })).toBe(4);
    expect(valueOf(name, { 'attention.self': 4 })).toBe(8);
    expect(valueOf(name, { '^query': 5 })).toBe(8);
    expect(valueOf('query', { '^query': 5 })).toBe(5);
    expect(valueOf(name, { 'key|query': 6 })).toBe(6);
    expect(() => valueOf(name, { '[': 1 })).toThrow(/^rank_pattern: /);
  });

  test('whole names as patterns are exact: layer 1 is not layer 11', () => {
    const patterns = Object.fromEntries(linears.map((name, i) => [name, i + 1]));
    expect(linears.map((name) => valueOf(name, patterns))).toEqual(linears.map((_, i) => i + 1));
  });
});
