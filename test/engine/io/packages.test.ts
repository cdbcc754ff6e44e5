/** Protects: what optional packages need is said in one line with the command that installs them, in the versions of package.json. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import manifest from '../../../package.json' with { type: 'json' };
import {
  installCommand,
  missingPackages,
  MissingPackageError,
  needPackages,
  packageFolder,
} from '../../../engine/io/packages.ts';

const OPTIONAL = Object.keys(manifest.peerDependencies);

it('finds every optional package in a checkout', () => {
  expect(missingPackages(OPTIONAL)).toEqual([]);
  expect(existsSync(join(packageFolder('sentiment'), 'package.json'))).toBe(true);
});

it('names all that are missing, and how to get them', () => {
  expect(() => needPackages(['vega', 'not-there', '@scope/not-there'])).toThrow(MissingPackageError);
  expect(() => packageFolder('not-there')).toThrow('not-there: not installed; `npm install not-there@latest` does it');
  const { vega } = manifest.devDependencies;
  expect(installCommand(['vega', 'sentiment'])).toMatch(new RegExp(`^npm install vega@${vega} sentiment@\\d`));
});

it('asks for the versions that the tests ran with, and makes none of them a must', () => {
  const { peerDependencies, peerDependenciesMeta, devDependencies } = manifest;
  const tested: Readonly<Record<string, string>> = devDependencies;
  expect(peerDependencies).toEqual(Object.fromEntries(OPTIONAL.map((name) => [name, `^${tested[name]}`])));
  expect(peerDependenciesMeta).toEqual(Object.fromEntries(OPTIONAL.map((name) => [name, { optional: true }])));
});
