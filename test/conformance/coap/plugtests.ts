/** The cases of the CoAP plugtests (ETSI, CoAP#4) that a server can be asked. */
import type { Suite } from "../report.ts";

const numbered = (name: string, from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => `TD_COAP_${name}_${String(from + i).padStart(2, "0")}`);

export const PLUGTESTS: Suite = {
  name: "Plugtests",
  cases: [
    ...numbered("CORE", 1, 23),
    "TD_COAP_CORE_31",
    ...numbered("LINK", 1, 9),
    ...numbered("BLOCK", 1, 6),
    ...numbered("OBS", 1, 2),
    ...numbered("OBS", 4, 14),
  ],
  pattern: /TD_COAP_[A-Z]+_\d\d/g,
};
