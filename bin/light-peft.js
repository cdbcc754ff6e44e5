#!/usr/bin/env node
// Starts the command from its TypeScript sources: there is no build step.
import { register } from 'tsx/esm/api';

register();
await import('../cli/main.ts');
