import type { Line } from "../../../config/budget.ts";
import { MAPPED_FRAME_BYTES_MAX, type SerialMapping } from "../../../config/serial-publish.ts";

/** What JSON.parse makes of a frame, per byte of it: `[[],[],[]]` is the worst. */
const JSON_FACTOR = 16;
/** A payload, of a frame's bytes: hex doubles them. */
export const PAYLOAD_FACTOR = 2;

/** Worst case of the lines that have a mapping, besides what each line has. */
export function budget(limits: { readonly maxPacketBytes: number }, mappings: readonly SerialMapping[]): Line[] {
  const frame = Math.min(MAPPED_FRAME_BYTES_MAX, limits.maxPacketBytes);
  const publications = mappings.reduce((sum, { publications: { length } }) => sum + length, 0);
  const bytes = JSON_FACTOR * frame + publications * PAYLOAD_FACTOR * frame;
  const how = `${publications} publications of a frame x ${PAYLOAD_FACTOR * frame} B, one frame of JSON`;
  return [{ owner: "serial mappings", bytes, how }];
}
