/** @returns keys of the configuration, as its file has them, that are not what they were. @param names where they differ */
export function changedKeys<T extends object>(before: T, after: T, names: Readonly<Record<string, string>>): string[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])] as (keyof T & string)[];
  const changed = keys.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
  return [...new Set(changed.map((key) => names[key] ?? nameInFile(key)))];
}

/** "sessionExpiryMs" is session_expiry. */
function nameInFile(key: string): string {
  return key.replace(/Ms$/, "").replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
