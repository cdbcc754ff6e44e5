/** Room: report/compare. How methods are told apart in pictures: by colour and by shape, either of which is enough for a few of them. */
import { html, type Html } from '../markup.ts';

/** A method's place among all of the page. */
export interface Look {
  readonly colour: string;
  readonly shape: number;
}

/** Colours of the style sheet, which has a value of each for light and for dark pages. */
const COLOURS = 7;

/** Outlines around 0, 0 in a square of 2. */
const SHAPES: readonly (readonly (readonly [number, number])[])[] = [
  polygon(16, 0.95),
  polygon(4, 1.15, Math.PI / 4),
  polygon(3, 1.25),
  polygon(4, 1.2),
  polygon(3, 1.25, Math.PI),
  polygon(5, 1.1),
];

function polygon(corners: number, radius: number, turn = 0): [number, number][] {
  return Array.from({ length: corners }, (_, i) => {
    const angle = turn + (2 * Math.PI * i) / corners;
    return [radius * Math.sin(angle), -radius * Math.cos(angle)];
  });
}

export function lookOf(place: number): Look {
  return { colour: `var(--mark-${(place % COLOURS) + 1})`, shape: place % SHAPES.length };
}

/** The outline as a path. @param size half of its width in pixels */
export function outline({ shape }: Look, x: number, y: number, size: number): string {
  const corners = SHAPES[shape]!.map(([dx, dy]) => `${pixel(x + dx * size)} ${pixel(y + dy * size)}`);
  return `M${corners.join('L')}Z`;
}

/** Of a tenth, as text. */
export function pixel(value: number): string {
  return String(Math.round(value * 10) / 10);
}

export function sample(look: Look): Html {
  return html`<svg width="14" height="14" aria-hidden="true">
    <path d="${outline(look, 7, 7, 5.5)}" fill="${look.colour}" />
  </svg>`;
}
