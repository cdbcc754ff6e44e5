#!/usr/bin/env node
// Room: bin. Starts the command from its TypeScript sources: there is no build step.
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { translate } from './translate.js';

process.setSourceMapsEnabled(true);
if (isInstalled('esbuild')) {
  const command = await translate(fileURLToPath(new URL('..', import.meta.url))).catch(
    (/** @type {unknown} */ error) => {
      stop(`its sources could not be translated: ${String(error)}`);
    },
  );
  if (command) await import(pathToFileURL(command).href);
} else {
  stop('the npm packages are not installed; run `npm run setup` first.');
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
