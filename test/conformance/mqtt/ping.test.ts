// 3.12 PINGREQ and 3.13 PINGRESP.
import assert from "node:assert/strict";
import { PINGRESP, pingreq } from "../../support/mqtt-packets.ts";
import { forVersions, product } from "./harness.ts";

const sluice = product();

forVersions({ 4: ["3.12.4-1"], 5: ["3.12.4-1"] }, "each PINGREQ is answered with a PINGRESP", async (version, t) => {
  const client = await sluice.connected(t, version);
  client.send(pingreq(), pingreq());
  for (let i = 0; i < 2; i++) {
    const { type, flags, body } = await client.next();
    assert.deepEqual([type, flags, body.length], [PINGRESP, 0, 0]);
  }
});
