import type { Line } from "../../../config/budget.ts";
import { MAPPED_FRAME_BYTES_MAX, type SerialMapping } from "../../../config/serial-publish.ts";

/** What JSON.parse makes of a frame, per byte of it: 21.3 of `[{},{},{}]`, the worst found; and the frame as a string. */
const JSON_FACTOR = 24;
/** Names of columns, per byte of the header: a string for each of up to 257. */
const HEADER_FACTOR = 4;
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
