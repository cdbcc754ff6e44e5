/**
 * Room: data/lm. Which parts of a rendered conversation the assistant wrote: those that the template marks by `{% generation %}`, else
 * those by which the text grows with its turns. Pure.
 */
import { option, UserError } from '../../engine/errors.ts';
import type { ChatFormat, RenderOptions } from '../../models/chat/chat-format.ts';
import type { Rendered } from '../../models/chat/template.ts';
import type { Chat, Conversation } from './conversations.ts';

/** Begin and end in a text, UTF-16 units. */
export type Span = readonly [begin: number, end: number];

/** The options that a conversation is rendered with. */
export const renderOptions = ({ tools, documents, variables }: Chat): RenderOptions => ({
  tools,
  documents,
  variables,
});

/**
 * The assistant's parts of a conversation; of a prompt with its completion, those of the completion.
 * @param rendered the whole conversation
 * @throws UserError where the template has no marks and writes earlier turns otherwise when more follow
 */
export function assistantSpans(format: ChatFormat, conversation: Conversation, rendered: Rendered): readonly Span[] {
  const { messages, tools, promptMessages = 0 } = conversation;
  const isSingle = messages.length === promptMessages + 1;
  if (!format.hasMarks(tools) || (promptMessages > 0 && isSingle))
    return turnSpans(format, conversation, rendered.text);
  if (promptMessages === 0) return rendered.marked;
  const from = sharedLength(prefixOf(format, conversation, promptMessages, true), rendered.text);
  return rendered.marked.filter(([, end]) => end > from);
}

/** By prefixes: a turn begins where its generation prompt ends, and ends where the conversation up to it ends. */
function turnSpans(format: ChatFormat, conversation: Conversation, text: string): Span[] {
  const { messages, promptMessages = 0 } = conversation;
  return messages.flatMap(({ role }, i): Span[] => {
    if (role !== 'assistant' || i < promptMessages) return [];
    const end = i + 1 === messages.length ? text : prefixOf(format, conversation, i + 1);
    const begin = i === 0 ? headerEnd(format, conversation, text) : turnBegin(format, conversation, i, text);
    if (text.startsWith(end) && begin !== undefined && begin <= end.length) return [[begin, end.length]];
    throw new UserError(
      `the chat template writes turn ${i + 1} (assistant) otherwise when other turns follow it, so that its place is not known; ` +
        `mark it in the template by {% generation %} and {% endgeneration %}, or set ${option('lossOn')} to all`,
    );
  });
}

/** The text of the first messages. */
function prefixOf(format: ChatFormat, conversation: Conversation, count: number, addGenerationPrompt = false): string {
  const messages = conversation.messages.slice(0, count);
  return format.render(messages, { ...renderOptions(conversation), addGenerationPrompt }).text;
}

/** Where a turn's own text begins; undefined where the messages before it are written otherwise. */
function turnBegin(format: ChatFormat, conversation: Conversation, i: number, text: string): number | undefined {
  const begin = sharedLength(prefixOf(format, conversation, i, true), text);
  return begin >= prefixOf(format, conversation, i).length ? begin : undefined;
}

/** The same of a first turn, which no text comes before: behind what begins every turn of the assistant. */
function headerEnd(format: ChatFormat, conversation: Conversation, text: string): number | undefined {
  const whole = prefixOf(format, conversation, 1, true);
  const header = whole.slice(sharedLength(whole, prefixOf(format, conversation, 1)));
  const at = text.indexOf(header);
  return header === '' || at < 0 ? undefined : at + header.length;
}

/** Characters that two texts begin with alike. */
function sharedLength(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  let at = 0;
  while (at < length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  return at;
}
