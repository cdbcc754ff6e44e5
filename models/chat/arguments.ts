/** Room: models/chat. The arguments of Python's functions, by place or by name. Pure. */
import { TemplateError, type Named, type Value } from './values.ts';

/**
 * Arguments under their names; what is not given is undefined.
 * @throws TemplateError for one too many, or a name that is not known
 */
export function bind<K extends string>(
  names: readonly K[],
  args: readonly Value[],
  named: Named,
): Readonly<Record<K, Value>> {
  if (args.length > names.length) throw new TemplateError(`takes ${names.length} arguments, found ${args.length}`);
  const unknown = [...named.keys()].find((name) => !(names as readonly string[]).includes(name));
  if (unknown !== undefined) throw new TemplateError(`unexpected keyword argument '${unknown}'`);
  return Object.fromEntries(names.map((name, i) => [name, i < args.length ? args[i] : named.get(name)])) as Record<
    K,
    Value
  >;
}

/** An argument that must be a text. */
export function needText(value: Value, role: string): string {
  if (typeof value === 'string') return value;
  throw new TemplateError(`${role} must be a string`);
}
