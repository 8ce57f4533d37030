// node test/conformance/coap/coverage.ts: prints, per chapter, how many statements there are, how many have a test, and
// why the others have none; exits 1 when a statement has neither, or a case of
// the plugtests no test.
import { report } from "../report.ts";
import { PLUGTESTS } from "./plugtests.ts";
import { TABLE, TOTALS } from "./table.ts";

await report("RFC", "conformance/coap", TABLE, TOTALS, PLUGTESTS);
