/** Frames against patterns like "OK*" (config/frame-template.ts). */
import type { BytePattern } from "../../config/frame-template.ts";

/**
 * Whether `bytes[from..end)` is what `pattern` says. Each part between two stars is taken where it comes first, which
 * leaves the most for those behind it: one pass, whatever the frame is.
 */
export function matchesPattern(pattern: BytePattern, bytes: Buffer, from: number, end: number): boolean {
  const last = pattern.length - 1;
  const head = pattern[0] as Buffer;
  const tail = pattern[last] as Buffer;
  if (last === 0) return end - from === head.length && isAt(head, bytes, from);
  if (end - from < head.length + tail.length) return false;
  if (!isAt(head, bytes, from) || !isAt(tail, bytes, end - tail.length)) return false;
  const tailFrom = end - tail.length;
  let at = from + head.length;
  for (let i = 1; i < last; i++) {
    const part = pattern[i] as Buffer;
    const found = bytes.indexOf(part, at);
    if (found < 0 || found + part.length > tailFrom) return false;
    at = found + part.length;
  }
  return true;
}

function isAt(part: Buffer, bytes: Buffer, at: number): boolean {
  return bytes.compare(part, 0, part.length, at, at + part.length) === 0;
}
