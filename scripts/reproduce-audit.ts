/**
 * Room: scripts. `npm run reproduce -- audit`: every strategy in both forms with three seeds, and the defences; writes the measured part of
 * `docs/audit.md`. What is already there from an interrupted audit is kept, as are the remarks in the document. Settings: `bench/audit.yaml`.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../cli/program.ts';
import { exists, writeFileAtomic, writeJson } from '../engine/io/files.ts';
import { auditMarkdown } from '../report/audit/markdown.ts';
import { AUDIT_FILE, readAudit, writeAuditReport } from '../report/audit/write.ts';
import { withMeasured } from './measured-part.ts';

const DOCUMENT = join('docs', 'audit.md');

/** @throws UserError where the document has no place for figures */
async function documentWith(measured: string): Promise<string> {
  const before = (await exists(DOCUMENT)) ? await readFile(DOCUMENT, 'utf8') : undefined;
  return withMeasured(before, measured, DOCUMENT);
}

/** @param more flags, as `--full` @returns the exit code */
export async function reproduceAudit(more: readonly string[]): Promise<number> {
  // Better told before the audit than after its hours.
  await documentWith('');
  const out = join('out', more.includes('--full') ? 'reproduce-audit-full' : 'reproduce-audit');
  const config = ['--model', 'checkpoints/light-roberta', '--config', 'bench/audit.yaml', '--out', out];
  const code = await runCommand(['audit', ...config, ...more]);
  if (code !== 0) return code;
  const file = join(out, AUDIT_FILE);
  const measured = await readAudit(file);
  const command = ['npm run reproduce -- audit', ...more].join(' ');
  const audit = { ...measured, meta: { ...measured.meta, command } };
  await writeJson(file, audit);
  await writeAuditReport(out);
  await writeFileAtomic(DOCUMENT, await documentWith(auditMarkdown(audit)));
  process.stdout.write(`${DOCUMENT} is written.\n`);
  return 0;
}
