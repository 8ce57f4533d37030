// What Receive Maximum asks of clients, shown by the uplink at a server of bytes by hand.
import assert from "node:assert/strict";
import { after } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { eventually } from "../../support/eventually.ts";
import { ack, bytes, PINGREQ, PUBACK, PUBLISH, packet, publish, readPublish, u16 } from "../../support/mqtt-packets.ts";
import { forVersions, product } from "./harness.ts";
import { RawServer } from "./raw-server.ts";

const RECEIVE_MAXIMUM = 4;

const server = new RawServer();
const sluice = product(async () => {
  await server.listen();
  const uplink = {
    name: "cloud",
    url: `mqtt://127.0.0.1:${server.port}`,
    keepalive: "2s",
    forward: [{ match: "out/#", qos: 1 }],
    receive: [{ match: "in/#", qos: 1 }],
  };
  return { uplinks: [uplink] };
});
after(() => server.close());

forVersions(
  { 5: ["3.3.4-7", "3.3.4-8", "4.9.0-1", "4.9.0-2", "4.9.0-3"] },
  "the uplink has no more messages open than the server's Receive Maximum, and lets nothing but PUBLISH wait for it",
  async (version, t) => {
    const { raw } = await server.connected(version, false, bytes(0x21, u16(RECEIVE_MAXIMUM)));
    const subscribed = await raw.next();
    raw.send(packet(9, 0, u16(subscribed.body.readUInt16BE(0)), 0, 1));
    const publisher = await sluice.connected(t, version);
    const count = 12;
    for (let packetId = 1; packetId <= count; packetId++)
      publisher.send(publish(version, { topic: "out/t", payload: `${packetId}`, qos: 1, packetId }));
    const taken: string[] = [];
    const open: number[] = [];
    let pinged = false;
    while (taken.length < count) {
      // Before anything is acknowledged, all that may be open; they may come in several reads.
      await eventually("messages", () => raw.packets.length >= (pinged ? 1 : RECEIVE_MAXIMUM));
      for (const next of raw.packets.splice(0)) {
        if (next.type !== PUBLISH) continue;
        const { payload, packetId } = readPublish(version, next);
        taken.push(payload);
        open.push(packetId);
      }
      await nextTurn();
      assert.equal(open.length <= RECEIVE_MAXIMUM, true, `${open.length} open`);
      if (!pinged) {
        // While it may send nothing more, it answers what comes, and its PINGREQ leaves in time.
        raw.send(publish(version, { topic: "in/x", qos: 1, packetId: 77 }));
        await eventually("PUBACK and PINGREQ", () => {
          const types = raw.packets.map(({ type }) => type);
          return types.includes(PUBACK) && types.includes(PINGREQ);
        });
        assert.equal(
          raw.packets.some(({ type }) => type === PUBLISH),
          false,
        );
        raw.packets.length = 0;
        raw.send(packet(13, 0));
        pinged = true;
      }
      for (const id of open.splice(0, 2)) raw.send(ack(PUBACK, id));
    }
    assert.deepEqual(
      taken,
      Array.from({ length: count }, (_, i) => `${i + 1}`),
    );
    raw.socket.destroy();
  },
);
