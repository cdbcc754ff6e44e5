#!/usr/bin/env node
// Starts the command from its TypeScript sources: there is no build step.
import { existsSync } from 'node:fs';

if (existsSync(new URL('../node_modules/tsx', import.meta.url))) {
  const { register } = await import('tsx/esm/api');
  register();
  await import('../cli/main.ts');
} else {
  console.error('light-peft: the npm packages are not installed; run `npm run setup` first.');
  process.exitCode = 2;
}
