/** Protects: docs/schemas are the schemas of today, and say of real files what the program says. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { FORMATS, schemaText } from '../../experiments/formats.ts';
import { sampleComparison } from '../report/sample.ts';

const FOLDER = join(import.meta.dirname, '..', '..', 'docs', 'schemas');

it.each(FORMATS.map((format) => [format.name, format] as const))(
  '%s is current (npm run schemas)',
  async (name, format) => {
    expect(await readFile(join(FOLDER, `${name}.schema.json`), 'utf8')).toBe(schemaText(format));
  },
);

it('the published schema accepts a comparison, and refuses another version', async () => {
  const text = await readFile(join(FOLDER, 'comparison.schema.json'), 'utf8');
  const schema = z.fromJSONSchema(JSON.parse(text) as Parameters<typeof z.fromJSONSchema>[0]);
  const sample: unknown = JSON.parse(JSON.stringify(sampleComparison()));
  expect(schema.safeParse(sample).success).toBe(true);
  expect(schema.safeParse({ ...(sample as object), version: 99 }).success).toBe(false);
  expect(schema.safeParse({ ...(sample as object), runs: [{}] }).success).toBe(false);
});
