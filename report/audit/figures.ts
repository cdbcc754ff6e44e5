/** Room: report/audit. Figures of the page: what is drawn of which runs, with what it says in words. */
import { COLOUR } from '../charts/render.ts';
import { figure, legend, type Panel } from '../html/parts.ts';
import type { Html } from '../markup.ts';
import { percent } from '../numbers.ts';
import { heatChart, lineChart, type Line } from './charts.ts';
import type { AuditRun, Measure } from './schema.ts';
import { meansByPlace, spreadOf, type FormGroups, type Group } from './summary.ts';

type Look = Pick<Line, 'colour' | 'dash' | 'width'>;

const LOOKS: Readonly<Record<string, Look>> = {
  clean: { colour: COLOUR.grey, dash: [], width: 2 },
  sum: { colour: COLOUR.ink, dash: [], width: 2 },
  pcgrad: { colour: COLOUR.muted, dash: [2, 2], width: 1.5 },
  gradnorm: { colour: COLOUR.muted, dash: [9, 3, 2, 3], width: 1.5 },
  clnorm: { colour: COLOUR.cut, dash: [6, 3], width: 2 },
  ilproj: { colour: COLOUR.soft, dash: [6, 3], width: 2 },
  'clnorm+ilproj': { colour: COLOUR.accent, dash: [], width: 2.25 },
  ripple: { colour: COLOUR.cut, dash: [1, 3], width: 1.5 },
  lwp: { colour: COLOUR.cut, dash: [12, 4], width: 1.5 },
};

function lookOf({ strategy }: Pick<Group, 'strategy'>): Look {
  return LOOKS[strategy] ?? { colour: COLOUR.muted, dash: [], width: 1.5 };
}

function keys(forms: readonly FormGroups[]): Html {
  const all = new Map(forms.flatMap(({ groups }) => groups.map((group) => [group.label, group] as const)));
  return legend([...all].map(([label, group]) => ({ label, ...lookOf(group) })));
}

/** LFR and accuracy over the user's epochs. */
export function forgetting(forms: readonly FormGroups[]): Promise<Html> {
  const panel = ({ label, groups }: FormGroups, of: keyof Measure, title: string): Panel => {
    const last = Math.max(...groups.flatMap(({ runs }) => runs.map(({ user }) => user.curve.at(-1)!.epoch)));
    const lines = groups.map((group): Line => ({ label: group.label, ...lookOf(group), points: curve(group, of) }));
    const words = groups.map((group) => `${group.label} ${curve(group, of).map(({ y }) => percent(y)).join(', ')}`); // prettier-ignore
    return {
      title: `${label}: ${title}`,
      chart: lineChart(lines, { x: "epoch of the user's training", domain: [0, last], range: [0, 1], isShare: true }),
      alt: `${title} over the user's epochs: ${words.join('; ')}`,
    };
  };
  const panels = [
    ...forms.map((form) => panel(form, 'lfr', 'LFR')),
    ...forms.map((form) => panel(form, 'accuracy', 'CACC')),
  ];
  const caption =
    'LFR: texts of other classes that get the planted class when a trigger is in them. CACC: accuracy on clean texts. Means over seeds, thin rules ± their deviation.';
  return figure('What the user’s training forgets', caption, panels, { legend: keys(forms) });
}

function curve({ runs }: Group, of: keyof Measure): Line['points'] {
  const places = runs[0]!.user.curve.length;
  return Array.from({ length: places }, (_, i) => {
    const { mean: y, deviation } = spreadOf(runs.map(({ user }) => user.curve[i]![of]));
    return { x: runs[0]!.user.curve[i]!.epoch, y, deviation };
  });
}

const TASK_LOOKS = [
  { label: 'clean texts', colour: COLOUR.ink, dash: [], width: 2 },
  { label: 'planted texts', colour: COLOUR.accent, dash: [], width: 2 },
] as const;

/** Losses of both tasks over the steps of planting, of the strategy that is not controlled. */
export async function convergence(forms: readonly FormGroups[]): Promise<Html | undefined> {
  const panels = forms.flatMap(({ label, groups }): Panel[] => {
    const runs = plain(groups).flatMap(({ planted: { loss } }) => loss ?? []);
    const [first] = runs;
    if (!first) return [];
    const [clean, planted] = (['clean', 'planted'] as const).map((task) => meansByPlace(runs.map((run) => run[task])));
    const points = (values: readonly number[]): Line['points'] => values.map((y, i) => ({ x: first.step[i]!, y }));
    const lines = [clean!, planted!].map((values, i): Line => ({ ...TASK_LOOKS[i]!, points: points(values) }));
    const chart = lineChart(lines, { x: 'optimizer step', domain: [0, first.step.at(-1)!] });
    const [c, p] = [clean!.at(-1)!, planted!.at(-1)!];
    return [{ title: label, chart, alt: `Loss at the end: clean texts ${c.toFixed(3)}, planted ${p.toFixed(3)}` }];
  });
  if (panels.length === 0) return undefined;
  const caption = 'Training loss of both tasks while planting by the plain sum, mean over seeds.';
  return figure('Which task is learned first', caption, panels, { legend: legend(TASK_LOOKS) });
}

function plain(groups: readonly Group[]): readonly AuditRun[] {
  return (
    (groups.find(({ strategy }) => strategy === 'sum') ?? groups.find(({ runs }) => runs[0]!.planted.gradients))
      ?.runs ?? []
  );
}

/** Names of layers along an axis, the head last. */
function layerNames(count: number): string[] {
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? 'head' : String(i)));
}

/** Magnitudes and cosines by layer, and cosines over the steps. */
export async function gradients(forms: readonly FormGroups[]): Promise<Html | undefined> {
  const panels = forms.flatMap(({ label, groups }): Panel[] => {
    const runs = plain(groups).flatMap(({ planted: { gradients: found } }) => found ?? []);
    const [first] = runs;
    if (!first) return [];
    const count = first.clean[0]!.length;
    const names = layerNames(count);
    // The head's gradient is many times that of a layer of modules.
    const layers = count - 1;
    const points = (rows: readonly (readonly (number | null)[])[], places: number): Line['points'] =>
      meansByPlace(rows).slice(0, places).map((y, x) => ({ x, y })); // prettier-ignore
    const magnitudes = (['clean', 'planted'] as const).map((task, i): Line => ({
      ...TASK_LOOKS[i]!,
      points: points(runs.flatMap((run) => run[task]), layers),
    })); // prettier-ignore
    const heads = (['clean', 'planted'] as const).map((task) => meansByPlace(runs.flatMap((run) => run[task])).at(-1)!);
    const cosines = { ...TASK_LOOKS[0], points: points(runs.flatMap((run) => run.cosine), count) }; // prettier-ignore
    const words = (line: Line): string => line.points.map(({ x, y }) => `${names[x]} ${y.toFixed(3)}`).join(', ');
    return [
      {
        title: `${label}: magnitude by layer (head: ${heads.map((value) => value.toFixed(2)).join(' and ')})`,
        chart: lineChart(magnitudes, { x: 'layer', domain: [0, layers - 1], names: names.slice(0, layers) }),
        alt: `Mean gradient magnitude by layer: ${magnitudes.map((line) => `${line.label} ${words(line)}`).join('; ')}`,
      },
      {
        title: `${label}: cosine by layer`,
        chart: lineChart([cosines], { x: 'layer', domain: [0, layers], names, range: [-1, 1] }),
        alt: `Mean cosine of both gradients by layer: ${words(cosines)}`,
      },
      {
        title: `${label}: cosine by layer and step, first seed`,
        chart: heatChart(first.step, first.cosine, names),
        alt: `Cosine of both gradients, ${first.cosine.flat().filter((value) => value !== null && value < 0).length} of ${first.cosine.flat().length} windows and layers below 0`, // prettier-ignore
      },
    ];
  });
  if (panels.length === 0) return undefined;
  const caption =
    'Gradients of clean and planted texts while planting by the plain sum, means over steps and seeds. In the maps, blue: they point the same way, orange: apart.';
  return figure('Gradients by layer', caption, panels, { legend: legend(TASK_LOOKS) });
}

/** What is left of the triggers without the modules of one layer, and how much a trigger changes the first token. */
export async function layerMaps(forms: readonly FormGroups[]): Promise<Html | undefined> {
  const kinds = [
    { when: 'planted', title: 'after planting' },
    { when: 'user', title: "after the user's training" },
  ] as const;
  const panels = forms.flatMap(({ label, groups }) =>
    kinds.flatMap(({ when, title }): Panel[] => {
      const mapped = groups.flatMap((group) => {
        const map = group.runs.find(({ maps }) => maps)?.maps?.[when];
        return map ? [{ group, map }] : [];
      });
      const layers = mapped[0]?.map.without.length;
      if (layers === undefined) return [];
      const names = layerNames(layers + 1).slice(0, -1);
      const axes = { x: 'layer', domain: [0, layers - 1], names } as const;
      const line = ({ group }: (typeof mapped)[number], values: readonly number[]): Line => ({
        label: group.label,
        ...lookOf(group),
        points: values.map((y, x) => ({ x, y })),
      });
      const without = mapped.map((one) => line(one, one.map.without.map(({ lfr }) => lfr))); // prettier-ignore
      const similar = mapped.map((one) => line(one, one.map.similarity));
      const words = (lines: readonly Line[]): string =>
        lines.map(({ label: name, points }) => `${name} ${points.map(({ y }) => percent(y)).join(', ')}`).join('; ');
      return [
        {
          title: `${label}: LFR without a layer’s modules, ${title}`,
          chart: lineChart(without, { ...axes, range: [0, 1], isShare: true }),
          alt: `LFR with the modules of one layer at zero, ${title}: ${words(without)}`,
        },
        {
          title: `${label}: [CLS] similarity, ${title}`,
          chart: lineChart(similar, { ...axes, range: [Math.min(0, ...similar.flatMap(({ points }) => points.map(({ y }) => y))), 1] }), // prettier-ignore
          alt: `Mean cosine of the first token's states with and without triggers, ${title}: ${words(similar)}`,
        },
      ];
    }),
  );
  if (panels.length === 0) return undefined;
  const caption =
    'First seed. LFR: how many texts with triggers still get the planted class when one layer’s modules add nothing; the lower, the more of the trigger sits there. Similarity: cosine of the first token’s hidden state with and without a trigger, after each layer.';
  const drawn = forms.map((form) => ({
    ...form,
    groups: form.groups.filter(({ runs }) => runs.some(({ maps }) => maps)),
  }));
  return figure('Where a trigger sits', caption, panels, { legend: keys(drawn) });
}
