/**
 * Room: engine/io. Packages that few features need and that are no dependencies therefore (`peerDependencies` of package.json,
 * optional): found when they are used. Where one is missing, the error names the command that installs it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { UserError } from '../errors.ts';

/** A feature was asked for whose packages are not installed. */
export class MissingPackageError extends UserError {}

/** The folder of an installed package. @throws MissingPackageError where it is not installed */
export function packageFolder(name: string): string {
  const folder = findFolder(name);
  if (folder === undefined) throw missing([name]);
  return folder;
}

/** @throws MissingPackageError unless all are installed */
export function needPackages(names: readonly string[]): void {
  const absent = missingPackages(names);
  if (absent.length > 0) throw missing(absent);
}

/** Those of some packages that are not installed. */
export function missingPackages(names: readonly string[]): string[] {
  return names.filter((name) => findFolder(name) === undefined);
}

/** The command that installs packages in the versions that this one was tested with. */
export function installCommand(names: readonly string[]): string {
  const own = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { peerDependencies } = JSON.parse(own) as { readonly peerDependencies: Readonly<Record<string, string>> };
  return `npm install ${names.map((name) => `${name}@${peerDependencies[name]?.replace('^', '') ?? 'latest'}`).join(' ')}`;
}

function missing(names: readonly string[]): MissingPackageError {
  return new MissingPackageError(`${names.join(', ')}: not installed; \`${installCommand(names)}\` does it`);
}

function findFolder(name: string): string | undefined {
  const places = createRequire(import.meta.url).resolve.paths(name) ?? [];
  return places.map((place) => join(place, name)).find((folder) => existsSync(join(folder, 'package.json')));
}
