import type { Line } from "../../../config/budget.ts";
import { MAPPED_FRAME_BYTES_MAX, type SerialMapping } from "../../../config/serial-publish.ts";

/**
 * What JSON.parse makes of a frame, per byte of it: 21.3 of `[{},{},{}]`, 25.2 of `[{"a":0},{"b":0}]`, the worst found; and the
 * frame as a string.
 */
export const JSON_FACTOR = 32;
/** A header as a string, and its columns by SEPARATORS_MAX separators, per byte of a frame. */
export const HEADER_FACTOR = 8;
/** A payload, of a frame's bytes: hex doubles them. */
export const PAYLOAD_FACTOR = 2;

/** Worst case of the lines that have a mapping, besides what each line has. */
export function budget(limits: { readonly maxPacketBytes: number }, mappings: readonly SerialMapping[]): Line[] {
  const frame = Math.min(MAPPED_FRAME_BYTES_MAX, limits.maxPacketBytes);
  const publications = mappings.reduce((sum, { publications: { length } }) => sum + length, 0);
  const headers = mappings.filter(({ header }) => header !== null).length;
  const bytes = (JSON_FACTOR + headers * HEADER_FACTOR + publications * PAYLOAD_FACTOR) * frame;
  const how = `${publications} publications of a frame x ${PAYLOAD_FACTOR * frame} B, one frame of JSON, ${headers} headers`;
  return [{ owner: "serial mappings", bytes, how }];
}
