/**
 * The same text with memory of its own. A part of a string keeps the whole of it, and one that was put together keeps
 * its parts: neither is to be kept for long.
 */
export function ownString(text: string): string {
  return Buffer.from(text).toString();
}
