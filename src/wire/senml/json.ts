/** A SenML pack as JSON. @see RFC 8428 section 5 */
import type { PackRecord } from "./pack.ts";

export const SENML_JSON = "application/senml+json";

export function encodeSenmlJson(pack: readonly PackRecord[]): Buffer {
  return Buffer.from(JSON.stringify(pack));
}
