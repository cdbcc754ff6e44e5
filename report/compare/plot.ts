/** Room: report/compare. A panel as SVG: runs small, means over seeds large with error bars, their front as a line of steps. Pure. */
import { html, type Html } from '../markup.ts';
import { percent } from '../numbers.ts';
import { fullText, midSentence, type FigureStyle } from '../sweep/styles.ts';
import { stride } from '../sweep/summary.ts';
import type { RunRow } from './columns.ts';
import { adapterName, methodKey, type MeanPoint, type Panel } from './groups.ts';
import { outline, pixel, type Look } from './marks.ts';
import { scaleOf, type Scale } from './scale.ts';

const SIZE = { width: 420, height: 300 } as const;
const EDGE = { left: 58, right: 14, top: 12, bottom: 44 } as const;
const RIGHT = SIZE.width - EDGE.right;
const BOTTOM = SIZE.height - EDGE.bottom;
const MARK = { run: 3, mean: 6 } as const;

/** Runs that a picture shows. */
export const MOST_RUNS = 400;

export type Looks = ReadonlyMap<string, Look>;

interface Scales {
  readonly x: Scale;
  readonly y: Scale;
}

export function plot({ axis, runs, means, front }: Panel, style: FigureStyle, looks: Looks, label: string): Html {
  const x = scaleOf([...runs.map((run) => run.x), ...means.flatMap((mean) => ends(mean, 'x'))], [EDGE.left, RIGHT], 5);
  const y = scaleOf([...runs.map((run) => run.y), ...means.flatMap((mean) => ends(mean, 'y'))], [BOTTOM, EDGE.top], 5);
  const isUp = style.direction === 'maximize';
  const onFront = new Set(front);
  const steps = stepPath(front.map((mean) => [x.at(mean.x), y.at(mean.y)] as const));
  return html`<svg viewBox="0 0 ${SIZE.width} ${SIZE.height}" role="group" aria-label="${label}" data-better="${isUp ? 'up' : 'down'}" data-right="${RIGHT}">
    <g class="axes" aria-hidden="true">
      ${y.ticks.map((value) => html`<path d="M${EDGE.left} ${pixel(y.at(value))}H${RIGHT}" /><text x="${EDGE.left - 8}" y="${pixel(y.at(value) + 4)}" text-anchor="end">${fullText(style, value)}</text>`)}
      ${x.ticks.map((value) => html`<text x="${pixel(x.at(value))}" y="${BOTTOM + 17}" text-anchor="middle">${axis.text(value)}</text>`)}
      <text class="name" x="${RIGHT}" y="${SIZE.height - 6}" text-anchor="end">${midSentence(axis.name)} →</text>
    </g>
    ${stride(runs, MOST_RUNS).map((run) => runMark(run, { x, y }, looks, `${runText(run)}; ${style.name} ${fullText(style, run.y)}, ${axis.text(run.x)}`))}
    <path class="front" d="${steps}" />
    ${means.map((mean) => meanMark(mean, { x, y }, looks, meanText(mean, style, axis.text), onFront.has(mean)))}
  </svg>`; // prettier-ignore
}

/** Both ends of an error bar. */
function ends(mean: MeanPoint, of: 'x' | 'y'): number[] {
  const deviation = mean.deviations[of] ?? 0;
  return [mean[of] - deviation, mean[of] + deviation];
}

/** A line that keeps its height until the next point; from the last one to the right edge. The page's script draws it so too. */
function stepPath(points: readonly (readonly [x: number, y: number])[]): string {
  if (points.length === 0) return '';
  const [first, ...others] = points.map(([x, y]) => [pixel(x), pixel(y)] as const);
  return `M${first![0]} ${first![1]}${others.map(([x, y]) => `H${x}V${y}`).join('')}H${RIGHT}`;
}

function runMark(run: Panel['runs'][number], { x, y }: Scales, looks: Looks, text: string): Html {
  const look = looks.get(methodKey(run))!;
  const d = outline(look, x.at(run.x), y.at(run.y), MARK.run);
  return html`<path class="run" data-method="${methodKey(run)}" d="${d}" fill="${look.colour}"><title>${text}</title></path>`; // prettier-ignore
}

function meanMark(mean: MeanPoint, { x, y }: Scales, looks: Looks, text: string, isOnFront: boolean): Html {
  const key = methodKey(mean.configuration.first);
  const look = looks.get(key)!;
  const [atX, atY] = [x.at(mean.x), y.at(mean.y)];
  const [left, right] = ends(mean, 'x').map((end) => pixel(x.at(end)));
  const [low, high] = ends(mean, 'y').map((end) => pixel(y.at(end)));
  const bars =
    (left === right ? '' : `M${left} ${pixel(atY)}H${right}`) + (low === high ? '' : `M${pixel(atX)} ${low}V${high}`);
  return html`<g class="mean${isOnFront ? ' on' : ''}" data-method="${key}" data-x="${pixel(atX)}" data-y="${pixel(atY)}" tabindex="0" role="img" aria-label="${text}"><title>${text}</title>${bars === '' ? undefined : html`<path class="bar" d="${bars}" stroke="${look.colour}" />`}<path class="mark" d="${outline(look, atX, atY, MARK.mean)}" fill="${look.colour}" /></g>`; // prettier-ignore
}

function runText(run: RunRow): string {
  const seed = run.seed === null ? '' : `, seed ${run.seed}`;
  return `${configurationText(run)}${seed}, ${adapterName(run)}`;
}

/** The method with ratios, learning rate and steps: `lora, Light-PEFT 50%, lr 0.001, 400 steps`. */
export function configurationText(row: RunRow): string {
  const { label, lr, steps } = row;
  const method = [label, ratiosText(row)].filter((part) => part !== '').join(' ');
  return [method, lr === null ? [] : `lr ${lr}`, steps === null ? [] : `${steps} steps`].flat().join(', ');
}

/** Of heads and neurons: `50%`, `heads 25%, neurons 50%`; nothing where neither is pruned. */
export function ratiosText({ headsRatio, neuronsRatio }: RunRow): string {
  if (!headsRatio && !neuronsRatio) return '';
  const text = (ratio: number | null): string => (ratio === null ? 'not known' : percent(ratio));
  if (text(headsRatio) === text(neuronsRatio)) return text(headsRatio);
  return `heads ${text(headsRatio)}, neurons ${text(neuronsRatio)}`;
}

function meanText({ configuration, x, y, deviations }: MeanPoint, style: FigureStyle, axisText: (x: number) => string): string {
  const { first, rows } = configuration;
  const spread = (value: number, deviation: number | undefined, text: (value: number) => string): string =>
    !deviation ? text(value) : `${text(value)} ± ${text(deviation)}`;
  const seeds = rows.length === 1 ? 'one seed' : `mean of ${rows.length} seeds`;
  return `${configurationText(first)}, ${seeds}, ${adapterName(first)}; ${style.name} ${spread(y, deviations.y, (value) => fullText(style, value))}, ${spread(x, deviations.x, axisText)}`;
} // prettier-ignore
