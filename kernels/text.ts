/** Room: kernels. Repeating text. */

/** 0 … n − 1. */
export function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

/** One text per number below n, on lines of their own. */
export function each(n: number, text: (i: number) => string): string {
  return range(n).map(text).join('\n');
}

/** One text per number below n, with commas between. */
export function list(n: number, text: (i: number) => string): string {
  return range(n).map(text).join(', ');
}
