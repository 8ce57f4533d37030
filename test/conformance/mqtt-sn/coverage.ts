// node test/conformance/mqtt-sn/coverage.ts: prints, per chapter, how many statements there are, how many have a test, and
// why the others have none; exits 1 when a statement has neither.
import { report } from "../report.ts";
import type { Section } from "../statement.ts";
import { FORMATS, PROCEDURES } from "./statements.ts";

const TABLE: readonly Section[] = [
  { name: "MQTT-SN 1.2: 5 Message formats", statements: FORMATS },
  { name: "MQTT-SN 1.2: 6-7 Procedures, timers", statements: PROCEDURES },
];

await report("SN", "conformance/mqtt-sn", TABLE, { SN12: 101 });
