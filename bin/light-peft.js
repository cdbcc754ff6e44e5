#!/usr/bin/env node
// Room: bin. Starts the command: from `dist/` where the package is installed, from its TypeScript sources in a checkout.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

process.setSourceMapsEnabled(true);
const root = new URL('..', import.meta.url);
if (existsSync(new URL('cli/main.ts', root))) await startSources(fileURLToPath(root));
else await import(new URL('dist/cli.js', root).href);

/** @param {string} folder of the checkout */
async function startSources(folder) {
  if (!isInstalled('esbuild')) {
    stop('the npm packages are not installed; run `npm run setup` first.');
    return;
  }
  const { translate } = await import('./translate.js');
  const command = await translate(folder).catch((/** @type {unknown} */ error) => {
    stop(`its sources could not be translated: ${String(error)}`);
  });
  if (command) await import(pathToFileURL(command).href);
}

/** @param {string} why */
function stop(why) {
  console.error(`light-peft: ${why}`);
  process.exitCode = 2;
}

/** @param {string} name */
function isInstalled(name) {
  try {
    return createRequire(import.meta.url).resolve(name) !== '';
  } catch {
    return false;
  }
}
