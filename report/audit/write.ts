/** Room: report/audit. The page beside its data: the only file of this folder that touches the disk. */
import { join } from 'node:path';
import { z } from 'zod';
import { readJson, validate, writeFileAtomic } from '../../engine/io/files.ts';
import { auditPage } from './page.ts';
import { auditSchema, type Audit } from './schema.ts';

/** The file that an audit's figures are in. */
export const AUDIT_FILE = 'audit.json';

/** @throws UserError where the file is missing, broken or of another version */
export async function readAudit(path: string): Promise<Audit> {
  return validate(await readJson(path, z.unknown()), auditSchema, path);
}

/**
 * Reads `dir/audit.json` and writes `dir/report.html`, whole or not at all.
 * @returns the path of the page
 * @throws UserError as `readAudit`; MissingPackageError where Vega is not installed
 */
export async function writeAuditReport(dir: string): Promise<string> {
  const audit = await readAudit(join(dir, AUDIT_FILE));
  const target = join(dir, 'report.html');
  await writeFileAtomic(target, await auditPage(audit));
  return target;
}
