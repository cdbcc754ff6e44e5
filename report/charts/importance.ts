/** Room: report/charts. Importance of PEFT modules and of their ranks, kept against dropped. */
import type { TopLevelSpec } from 'vega-lite';
import type { Fate } from '../fate.ts';
import type { Plan } from '../schema.ts';
import { COLOUR, type Layer } from './render.ts';
import { AXIS_AND_TITLE, rowChart, rowLabels, rowLines, rowScale, rowValues } from './rows.ts';

type Module = Plan['modules'][number];

/** A colour for each fate, in the order of the legend. */
export const FATE_COLOURS: Readonly<Record<Fate, string>> = {
  kept: COLOUR.accent,
  'all ranks cut': COLOUR.cut,
  dropped: COLOUR.grey,
};

/** A module's place: the number in its name, and what follows it. */
interface Place {
  readonly layer: number | undefined;
  /** `attention query`, `output` … without the parts every name has. */
  readonly kind: string;
}

/** `roberta.encoder.layer.3.attention.self.query` is `attention query` of layer 3. */
export function place(name: string): Place {
  const match = /\.(\d+)\.(.+)$/.exec(name);
  if (!match) return { layer: undefined, kind: name };
  const kind = match[2]!.split('.').filter((part) => part !== 'self' && part !== 'dense');
  return { layer: Number(match[1]), kind: kind.join(' ') || match[2]! };
}

/** Importance of one kind of module by layer, as bars. `top` is shared by the charts to be compared. */
export function moduleChart(modules: readonly Module[], fate: ReadonlyMap<Module, Fate>, top: number): TopLevelSpec {
  const layers = modules.map((m) => ({
    layer: place(m.name).layer ?? 0,
    importance: m.importance,
    text: m.importance.toPrecision(2),
    colour: FATE_COLOURS[fate.get(m) ?? 'dropped'],
  }));
  const y = { field: 'layer', type: 'ordinal', title: null, axis: { grid: false } } as const;
  const scale = { domain: [0, top], nice: false };
  const x = { field: 'importance', type: 'quantitative', scale, axis: null } as const;
  const color = { field: 'colour', type: 'nominal', scale: null } as const;
  return {
    width: 86,
    height: { step: 17 },
    padding: { top: 0, left: 20, right: 48, bottom: 0 },
    data: { values: layers },
    layer: [
      { mark: { type: 'bar', size: 9 }, encoding: { y, x, color } },
      { mark: { type: 'text', align: 'left', dx: 5, fontSize: 11.5 }, encoding: { y, x, text: { field: 'text' } } },
    ],
  };
}

const RANK_AXIS = 'share of the highest score (square-root scale)';

/** Every rank of some modules as a tick: its importance as a share of `top`, on a square-root scale. */
export function rankChart(modules: readonly Module[], top: number): TopLevelSpec {
  const ranks = modules.flatMap((m, row) =>
    m.ranks.map((rank) => ({
      row,
      share: top > 0 ? rank.importance / top : 0,
      colour: rank.kept ? COLOUR.accent : COLOUR.cut,
    })),
  );
  const axis = { title: RANK_AXIS, values: [0, 0.1, 0.25, 0.5, 1], format: '.0%', labelOverlap: false };
  const marks: Layer = {
    data: { values: ranks },
    mark: { type: 'tick', thickness: 2, size: 14, opacity: 1 },
    encoding: {
      y: rowScale,
      x: { field: 'share', type: 'quantitative', scale: { type: 'sqrt', domain: [0, 1] }, axis },
      color: { field: 'colour', type: 'nominal', scale: null },
    },
  };
  const counts = modules.map((m) => `${m.ranks.filter((r) => r.kept).length} of ${m.ranks.length}`);
  const labels = modules.map((m) => place(m.name).kind);
  return rowChart(
    modules.length,
    [rowLines(modules.length), rowLabels(labels), rowValues(counts), marks],
    AXIS_AND_TITLE,
  );
}
