/** Sizes and durations as people write them: 16MiB, 30TB, 250ms, 7d. */
const BYTES: Record<string, number> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

const MILLISECONDS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** @returns whole bytes, or null when `text` is no size; a bare number is bytes */
export function parseBytes(text: string): number | null {
  return parse(text, BYTES, "B");
}

/** @returns whole ms, or null when `text` is no duration; a bare number is none, except 0 */
export function parseDuration(text: string): number | null {
  return text === "0" ? 0 : parse(text, MILLISECONDS, "");
}

function parse(text: string, units: Record<string, number>, bare: string): number | null {
  const match = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/.exec(text);
  if (match === null) return null;
  const [, number = "", unit = ""] = match;
  const name = unit === "" ? bare : unit;
  if (!Object.hasOwn(units, name)) return null;
  const value = Number(number) * (units[name] ?? Number.NaN);
  return Number.isSafeInteger(value) ? value : null;
}

/** In the largest binary unit that needs at most one decimal place. */
export function bytesText(bytes: number): string {
  for (const unit of ["TiB", "GiB", "MiB", "KiB"]) {
    const value = bytes / (BYTES[unit] ?? 1);
    if (value >= 1) return `${Number.isInteger(value) ? value : value.toFixed(1)} ${unit}`;
  }
  return `${bytes} B`;
}

/** As makers of storage write it: decimal, so that 30TB is 30 TB. */
export function decimalBytesText(bytes: number): string {
  for (const unit of ["TB", "GB", "MB", "KB"]) {
    const value = bytes / (BYTES[unit] ?? 1);
    if (value >= 1) return `${Number.isInteger(value) ? value : value.toFixed(1)} ${unit}`;
  }
  return `${bytes} B`;
}

export function durationText(ms: number): string {
  for (const unit of ["d", "h", "m", "s"]) {
    const value = ms / (MILLISECONDS[unit] ?? 1);
    if (value >= 1 && Number.isInteger(value)) return `${value}${unit}`;
  }
  return `${ms}ms`;
}
