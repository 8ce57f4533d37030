/** Up to this a byte loop (0.6 ns a byte) beats the 31 ns of a call to `Buffer.copy`, measured on Node 24. */
const LOOP_BYTES_MAX = 48;

/**
 * Copies `length` bytes of `source` from `from` to `out` at `at`; the ranges are the caller's to check. `Buffer.copy`
 * and not `set`, as that needs a `subarray`: a young object per message.
 * @returns the index after them
 */
export function copyBytes(source: Buffer, from: number, length: number, out: Buffer, at: number): number {
  const end = from + length;
  if (length > LOOP_BYTES_MAX) {
    source.copy(out, at, from, end);
    return at + length;
  }
  let next = at;
  for (let i = from; i < end; i++) out[next++] = source[i] as number;
  return next;
}
