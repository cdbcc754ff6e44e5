/**
 * Room: report/charts. Which heads and neurons of a layer were kept, as bitmaps: one cell per head or neuron.
 * Drawn directly as paths, one per shade, so that a layer of thousands of neurons stays a few kilobytes.
 */
import { html, type Html } from '../markup.ts';
import { COLOUR } from './render.ts';

/** How many of several plans keep each of [0, size). */
export function tally(size: number, kept: readonly (readonly number[])[]): number[] {
  const counts = new Array<number>(size).fill(0);
  for (const plan of kept) for (const i of plan) if (i < size) counts[i]!++;
  return counts;
}

/** Heads in one line of separate cells. `counts[i]` of `plans` plans keep head i. */
export function headMap(counts: readonly number[], plans: number): Html {
  const cell = 16;
  const step = 19;
  const cells = counts.map((count, i) => {
    const box = html`x="${i * step + 0.5}" y="0.5" width="${cell - 1}" height="${cell - 1}" rx="2"`;
    return html`<rect
      ${box}
      fill="${COLOUR.accent}"
      fill-opacity="${shade(count, plans)}"
      stroke="${count > 0 ? COLOUR.accent : COLOUR.rule}"
    />`;
  });
  const width = counts.length * step - (step - cell);
  return html`<svg viewBox="0 0 ${width} ${cell}" width="${width}" height="${cell}" aria-hidden="true">${cells}</svg>`;
}

/** Neurons wrapped into lines of a strip about 24 times as wide as high, in order of index. */
export function neuronMap(counts: readonly number[], plans: number): Html {
  const columns = lineLength(counts.length);
  const lines = Math.ceil(counts.length / columns);
  const paths = Array.from({ length: plans }, (_, i) => i + 1).map(
    (level) => html`<path d="${runs(counts, level, columns)}" fill-opacity="${shade(level, plans)}" />`,
  );
  const ground = html`<path d="${runs(counts, undefined, columns)}" fill="${COLOUR.rule}" />`;
  return html`<svg viewBox="0 0 ${columns} ${lines}" aria-hidden="true">
    ${ground}
    <g fill="${COLOUR.accent}">${paths}</g>
  </svg>`;
}

/** Cells in a line of the strip: near the wanted shape, and so that all lines are full where a divisor allows it. */
function lineLength(size: number): number {
  const wanted = Math.ceil(Math.sqrt(size * 24));
  const near = Array.from({ length: wanted }, (_, i) => i + Math.ceil(wanted / 2)).filter((n) => size % n === 0);
  return near.sort((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted))[0] ?? wanted;
}

/** Path of the cells whose count is `level` (of all cells, without one), neighbours in a line joined. */
function runs(counts: readonly number[], level: number | undefined, columns: number): string {
  const parts: string[] = [];
  for (let i = 0; i < counts.length;) {
    const end = Math.min(counts.length, (Math.floor(i / columns) + 1) * columns);
    let next = i;
    while (next < end && (level === undefined || counts[next] === level)) next++;
    if (next > i) parts.push(`M${i % columns} ${Math.floor(i / columns)}h${next - i}v1h-${next - i}z`);
    i = Math.max(next, i + 1);
  }
  return parts.join('');
}

function shade(count: number, plans: number): string {
  return (count / plans).toFixed(2);
}
