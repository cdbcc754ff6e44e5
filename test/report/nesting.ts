/** Tests only. Whether a page's markup is whole. */
import { expect } from 'vitest';

const VOID = new Set(['meta', 'link', 'br', 'input']);

/** Throws unless every element that is opened is closed in order and every `<` and quote belongs to a tag. */
export function checkNesting(page: string): void {
  const open: string[] = [];
  const body = page.replaceAll(/(<(style|script)[^>]*>)[^]*?<\/\2>/g, '$1</$2>').replace('<!doctype html>', '');
  const rest = body.replace(
    /<(\/?)([a-zA-Z0-9]+)((?:\s+[\w:-]+(?:="[^"<]*")?)*)\s*(\/?)>/g,
    (_, close: string, name: string, __, self: string) => {
      if (close) expect(open.pop()).toBe(name);
      else if (!self && !VOID.has(name)) open.push(name);
      return '';
    },
  );
  expect(open).toEqual([]);
  expect(rest).not.toMatch(/[<>]/);
}
