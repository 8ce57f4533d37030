/**
 * Topic names and filters as strings, for everything outside the packet path (configuration, retained values, HTTP,
 * CoAP). The packet path checks bytes in wire/mqtt/primitives.ts.
 *
 * @see MQTT 5.0 section 4.7
 */

/** Whether `topic` may be published to: not empty, no wildcard, no U+0000, at most 65,535 bytes of UTF-8. */
export function isTopicName(topic: string): boolean {
  return topic.length > 0 && !/[+#\0]/.test(topic) && topic.isWellFormed() && Buffer.byteLength(topic) <= 65_535;
}

/** Whether `filter` may be subscribed to: wildcards only as whole levels, `#` only as the last. */
export function isTopicFilter(filter: string): boolean {
  if (filter.length === 0 || filter.includes("\0") || !filter.isWellFormed() || Buffer.byteLength(filter) > 65_535)
    return false;
  const levels = filter.split("/");
  return levels.every((level, i) => {
    if (level.includes("#")) return level === "#" && i === levels.length - 1;
    return !level.includes("+") || level === "+";
  });
}

export function hasWildcard(filter: string): boolean {
  return filter.includes("+") || filter.includes("#");
}

/** [MQTT5-4.7.2-1]: wildcards at the first level do not match topics that begin with `$`. */
export function filterMatches(filter: string, topic: string): boolean {
  const f = filter.split("/");
  const t = topic.split("/");
  if (topic.startsWith("$") && (f[0] === "#" || f[0] === "+")) return false;
  for (let i = 0; i < f.length; i++) {
    if (f[i] === "#") return true;
    if (i >= t.length) return false;
    if (f[i] !== "+" && f[i] !== t[i]) return false;
  }
  return f.length === t.length;
}

/** Number of levels of a name or filter. */
export function levelCount(topic: string): number {
  let levels = 1;
  for (let i = 0; i < topic.length; i++) if (topic.charCodeAt(i) === 0x2f) levels++;
  return levels;
}
