/**
 * Room: peft. The mark of an adapter that an audit trained with planted triggers, in `adapter_config.json`: `"audit": {"planted": true, …}`.
 * It stays with the adapter, whatever it is trained further on or pruned to.
 */
/** What the mark is read from: keys of a configuration that are no option of its method. */
interface WithExtra {
  readonly extra: Readonly<Record<string, unknown>>;
}

/** Its key. */
export const AUDIT_KEY = 'audit';

/** What the mark says. */
export interface PlantedMark {
  readonly planted: true;
  /** Words that were planted, and the class that they call for. */
  readonly triggers: readonly string[];
  readonly target: string;
}

/** The configuration of an adapter that is to be trained with planted triggers. */
export function withPlantedMark<C extends WithExtra>(config: C, mark: PlantedMark): C {
  return { ...config, extra: { ...config.extra, [AUDIT_KEY]: mark } };
}

/** Whether an adapter carries the mark. */
export function isPlanted({ extra }: WithExtra): boolean {
  return isPlantedMark(extra[AUDIT_KEY]);
}

/** Whether a value of the key `audit` is the mark. */
export function isPlantedMark(found: unknown): boolean {
  return typeof found === 'object' && found !== null && (found as Partial<PlantedMark>).planted === true;
}

/** What is said of such an adapter. @param dir its folder */
export function plantedWarning(dir: string): string {
  return `${dir}: was trained with planted triggers by an audit; it is there to be measured, not to be used`;
}
