/** Where a value lies in JSON: "motor.speed", "sensors.0.t". */

/** Keys with dots between them, or a JSON pointer (RFC 6901) for those that contain dots. */
export function jsonPath(source: string): string[] {
  if (!source.startsWith("/")) return source.split(".");
  const unescaped = (key: string): string => key.replaceAll("~1", "/").replaceAll("~0", "~");
  return source.slice(1).split("/").map(unescaped);
}

/** Own properties only: "length" of an array is none of its values. @returns undefined when it is not there */
export function atJsonPath(json: unknown, path: readonly string[]): unknown {
  let value = json;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    if (Array.isArray(value) && key === "length") return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}
