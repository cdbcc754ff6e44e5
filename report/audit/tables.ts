/** Room: report/audit. The tables of strategies and of defences as text, for the page and for Markdown. */
import { percent } from '../numbers.ts';
import { costText, defenceRows, spreadText, strategyRow, type FormGroups, type Group } from './summary.ts';

/** Rows of texts below their heads. */
export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Strategies of both forms side by side, LFR and CACC after the user's training as the paper's tables 1–3 have them. */
export function userTable(forms: readonly FormGroups[]): Table {
  return strategyTable(forms, "After the user's training", (row) => row.user);
}

/** The same right after planting. */
export function plantedTable(forms: readonly FormGroups[]): Table {
  return strategyTable(forms, 'Right after planting', (row) => row.planted);
}

function strategyTable(
  forms: readonly FormGroups[],
  title: string,
  of: (row: ReturnType<typeof strategyRow>) => ReturnType<typeof strategyRow>['user'],
): Table {
  const labels = [...new Set(forms.flatMap(({ groups }) => groups.map(({ label }) => label)))];
  const cells = ({ groups }: FormGroups, label: string): string[] => {
    const group = groups.find((one) => one.label === label);
    if (!group) return ['–', '–'];
    const { lfr, accuracy } = of(strategyRow(group));
    return [spreadText(lfr), spreadText(accuracy)];
  };
  return {
    title,
    head: ['strategy', ...forms.flatMap(({ label }) => [`${label}: LFR`, `${label}: CACC`])],
    rows: labels.map((label) => [label, ...forms.flatMap((form) => cells(form, label))]),
  };
}

/** What the user can do about the triggers of one strategy in one form. */
function defenceTable({ label: form }: FormGroups, group: Group): Table {
  const rows = defenceRows(group).map((row) => [
    row.label,
    spreadText(row.lfr),
    spreadText(row.accuracy),
    row.cost ? costText(row.cost) : '–',
    row.blocks === undefined ? '–' : percent(row.blocks),
    row.trainable === undefined ? '–' : percent(row.trainable),
    row.out ? `${percent(row.out[0])} / ${percent(row.out[1])}` : '–',
  ]);
  const head = [
    'defence',
    'LFR',
    'CACC',
    'CACC, change',
    'blocks left',
    'modules left',
    'taken out, clean / triggered',
  ];
  return { title: `${form}, ${group.label}`, head, rows };
}

/** Tables of all strategies that defences were measured against. */
export function defenceTables(forms: readonly FormGroups[]): Table[] {
  return forms.flatMap((form) =>
    form.groups
      .filter(({ runs }) => runs.some(({ defences }) => Object.keys(defences).length > 0))
      .map((group) => defenceTable(form, group)),
  );
}
