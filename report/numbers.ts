/** Room: report. Numbers as people read them: sensible digits, grouped thousands, a true minus sign. */

const three = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });
const threeFixed = new Intl.NumberFormat('en-US', { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
const integer = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** Divides by powers of 1000 until the value has at most three digits before the point. */
function scaled(value: number, units: readonly string[], separator: string): string {
  let i = 0;
  let rest = value;
  // 999.5 and above would round to 1,000.
  while (rest >= 999.5 && i < units.length - 1) {
    rest /= 1000;
    i++;
  }
  return `${(i === 0 ? three : threeFixed).format(rest)}${separator}${units[i]}`;
}

/** Bytes in decimal units: `12.3 MB`. */
export function bytes(value: number): string {
  return scaled(value, ['B', 'KB', 'MB', 'GB', 'TB'], ' ');
}

/** A count in short: `5.13M`. */
export function short(value: number): string {
  return scaled(value, ['', 'K', 'M', 'B'], '');
}

/** A count in full: `5,134,336`. */
export function whole(value: number): string {
  return integer.format(value);
}

/** A measured rate or amount to three significant digits: `7,180`, `0.0123`, `1.23M`. */
export function measure(value: number): string {
  return value < 99_950 ? threeFixed.format(value) : short(value);
}

/** A fraction as a percentage: `58%`, `5.4%`, `99.4%`; never rounded to a false 0 or 100. */
export function percent(fraction: number): string {
  const value = fraction * 100;
  if (value > 0 && value < 0.1) return '<0.1%';
  if (value < 100 && value > 99.9) return '>99.9%';
  const close = value < 10 || value > 99;
  return `${value.toFixed(close && !Number.isInteger(value) ? 1 : 0)}%`;
}

/** A score in [0, 1] in percent, without the sign: `84.3`. */
export function score(fraction: number): string {
  return (fraction * 100).toFixed(1);
}

/** With a true minus sign: `−0.123`. */
export function fixed(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/** A ratio: `1.45×`. */
export function times(ratio: number): string {
  return `${ratio < 10 ? ratio.toFixed(2) : three.format(ratio)}×`;
}

/** A relative change: `−38%`, `+5%`, `±0%`. */
export function change(ratio: number): string {
  return `${signed((ratio - 1) * 100, 0)}%`;
}

/** A difference of two scores in percentage points: `−0.4 pt`. */
export function points(difference: number): string {
  return `${signed(difference * 100, 1)} pt`;
}

/** Wall time: `48 s`, `3 min 05 s`, `1 h 12 min`. */
export function duration(seconds: number): string {
  if (seconds < 59.5) return `${three.format(seconds < 10 ? Number(seconds.toFixed(1)) : Math.round(seconds))} s`;
  const s = Math.round(seconds);
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, '0')} s`;
  const minutes = Math.round(s / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/** A difference: `−0.012`, `+0.4`, `±0.0`. */
export function signed(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return `±${text}`;
  return (value < 0 ? '−' : '+') + text;
}
