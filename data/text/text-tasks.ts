/** Room: data/text. The tasks that can be put as text, by their names. Pure functions. */
import { option, UserError } from '../../engine/errors.ts';
import { plainName } from '../tasks/fields.ts';
import { COMMONSENSE_TEXT } from './commonsense.ts';
import { GLUE_TEXT } from './glue.ts';
import { SQUAD_TEXT } from './squad.ts';
import { SUPERGLUE_TEXT } from './superglue.ts';
import type { TextTask } from './text-task.ts';

const TEXT_TASKS: Readonly<Record<string, TextTask>> = {
  ...GLUE_TEXT,
  ...SUPERGLUE_TEXT,
  ...COMMONSENSE_TEXT,
  ...SQUAD_TEXT,
};

/** A task as text. @throws UserError where the harness has no words for it */
export function textTaskNamed(name: string): TextTask {
  const found = Object.entries(TEXT_TASKS).find(([known]) => plainName(known) === plainName(name));
  if (found) return found[1];
  const names = Object.keys(TEXT_TASKS).join(', ');
  throw new UserError(
    `${option('as')} text: ${name} has no wording in lm-evaluation-harness, expected one of ${names}`,
  );
}
