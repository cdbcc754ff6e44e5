/** Room: report/audit. The audit as plain-text tables for a terminal. */
import { plainTable, TERMINAL_WIDTH } from '../plain-table.ts';
import type { Audit } from './schema.ts';
import { formsOf } from './summary.ts';
import { defenceTables, userTable } from './tables.ts';

/** Strategies after the user's training, and defences, at most `width` columns wide, without a final line break. */
export function auditTables(audit: Audit, width = TERMINAL_WIDTH): string {
  const forms = formsOf(audit);
  const tables = [userTable(forms), ...defenceTables(forms)];
  return tables.map(({ title, head, rows }) => `${title}, in percent\n${plainTable(head, rows, width)}`).join('\n\n');
}
