/** Room: models/chat. Dates as Python's `strftime` writes them, in English and local time. Pure. */

const two = (value: number): string => String(value).padStart(2, '0');
const name = (date: Date, options: Intl.DateTimeFormatOptions): string =>
  new Intl.DateTimeFormat('en-US', options).format(date);
const dayOfYear = (date: Date): number =>
  Math.round(
    (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - Date.UTC(date.getFullYear(), 0, 0)) / 864e5,
  );

const DIRECTIVES: Readonly<Record<string, (date: Date) => string>> = {
  Y: (date) => String(date.getFullYear()),
  y: (date) => two(date.getFullYear() % 100),
  m: (date) => two(date.getMonth() + 1),
  d: (date) => two(date.getDate()),
  e: (date) => String(date.getDate()).padStart(2),
  j: (date) => String(dayOfYear(date)).padStart(3, '0'),
  H: (date) => two(date.getHours()),
  I: (date) => two(date.getHours() % 12 || 12),
  M: (date) => two(date.getMinutes()),
  S: (date) => two(date.getSeconds()),
  f: (date) => `${String(date.getMilliseconds()).padStart(3, '0')}000`,
  p: (date) => (date.getHours() < 12 ? 'AM' : 'PM'),
  a: (date) => name(date, { weekday: 'short' }),
  A: (date) => name(date, { weekday: 'long' }),
  b: (date) => name(date, { month: 'short' }),
  B: (date) => name(date, { month: 'long' }),
  w: (date) => String(date.getDay()),
  F: (date) => strftime(date, '%Y-%m-%d'),
  T: (date) => strftime(date, '%H:%M:%S'),
  D: (date) => strftime(date, '%m/%d/%y'),
  x: (date) => strftime(date, '%m/%d/%y'),
  X: (date) => strftime(date, '%H:%M:%S'),
  '%': () => '%',
};

/** `%-d` and its kin have no leading zero. Directives that are not known stay as they are. */
export function strftime(date: Date, format: string): string {
  return format.replace(/%(-?)(.)/g, (found, sign: string, letter: string) => {
    const shown = Object.hasOwn(DIRECTIVES, letter) ? DIRECTIVES[letter]!(date) : undefined;
    if (shown === undefined) return found;
    return sign === '' ? shown : shown.replace(/^[0 ]+(?=.)/, '');
  });
}
