/** Room: models/chat. A chat template, parsed once: conversations as the text that a model was taught them in. Pure. */
import { parse } from '@huggingface/jinja';
import { UserError } from '../../engine/errors.ts';
import type { Statement } from './ast.ts';
import { Scope } from './expressions.ts';
import { entriesOf, Output, range, renderAll } from './render.ts';
import { GENERATION, tokensOf } from './split.ts';
import { strftime } from './strftime.ts';
import { Namespace, TemplateError, text, valueOf, type Callable, type Value } from './values.ts';

/** A text, and the parts of it that the template marks as the assistant's: begin and end of each, UTF-16 units. */
export interface Rendered {
  readonly text: string;
  readonly marked: readonly (readonly [begin: number, end: number])[];
}

/** A template of Jinja, rendered as transformers renders it: its extensions, filters and functions. */
export class ChatTemplate {
  /** Whether it marks the assistant's parts by `{% generation %}`. */
  readonly hasMarks: boolean;
  readonly #at: string;
  readonly #body: readonly Statement[];

  /**
   * @param source Jinja
   * @param at names it in errors
   * @throws UserError for what is no Jinja, or a part of it that is not supported
   */
  constructor(source: string, at: string) {
    this.#at = at;
    this.hasMarks = /\{%-?\s*generation\s*-?%\}/.test(source);
    try {
      // The parser reads what a token has, whatever made it.
      const tokens: unknown = tokensOf(source);
      this.#body = parse(tokens as Parameters<typeof parse>[0]).body as unknown as readonly Statement[];
    } catch (error) {
      throw new UserError(`${at}: cannot be read as a chat template: ${(error as Error).message}`);
    }
  }

  /**
   * The text for variables: `messages`, `tools`, `add_generation_prompt`, special tokens …
   * @throws UserError where the template raises an exception, or cannot do what it does with these variables
   */
  render(variables: Readonly<Record<string, unknown>>): Rendered {
    const out = new Output();
    const marked: [number, number][] = [];
    const generation: Callable = (_, named) => {
      const inner = text((named.get('caller') as Callable)([], new Map()));
      marked.push([out.text.length, out.text.length + inner.length]);
      return inner;
    };
    try {
      const given = Object.entries(variables).map(([name, value]): [string, Value] => [name, valueOf(value)]);
      const globals = new Scope(undefined, [...GLOBALS, [GENERATION, generation], ...given]);
      renderAll(this.#body, new Scope(globals), out);
    } catch (error) {
      if (!(error instanceof TemplateError || error instanceof RangeError)) throw error;
      throw new UserError(`${this.#at}: ${error.message}`);
    }
    return { text: out.text, marked };
  }
}

const GLOBALS: readonly (readonly [string, Callable])[] = [
  ['range', range],
  ['dict', (args, named) => entriesOf(args, named)],
  ['namespace', (args, named) => new Namespace(entriesOf(args, named))],
  ['strftime_now', ([format]) => strftime(new Date(), text(format))],
  [
    'raise_exception',
    ([message]) => {
      throw new TemplateError(text(message));
    },
  ],
];
