// node test/conformance/mqtt/coverage.ts: prints, per section of the specifications, how many statements there are, how
// many have a test, and how many cannot be tested from outside; exits 1 when a statement has neither.
import { report } from "../report.ts";
import { TABLE, TOTALS } from "./table.ts";

await report("MQTT", "conformance/mqtt", TABLE, TOTALS);
