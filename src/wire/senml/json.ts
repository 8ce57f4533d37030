/** A SenML pack as JSON. @see RFC 8428 section 5 */
import type { PackRecord } from "./pack.ts";

export function encodeSenmlJson(pack: readonly PackRecord[]): Buffer {
  return Buffer.from(JSON.stringify(pack));
}
