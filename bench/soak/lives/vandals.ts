/** Who does wrong, or nothing: malformed packets, half of a packet, silence; and who takes what he asked for too slowly. */
import * as mqtt from "../../../test/support/mqtt-packets.ts";
import type { Live } from "../crowd.ts";
import { below, oneOf } from "../world.ts";

/** What closes a connection that was let in. */
const WRONG: readonly (() => Buffer)[] = [
  () => Buffer.from([0x36, 2, 0, 0]), // QoS 3
  () => mqtt.packet(mqtt.PUBLISH, 0, mqtt.field("a/#")), // a wildcard in a topic
  () => mqtt.packet(mqtt.PUBLISH, 0, mqtt.u16(9), "short"), // a topic beyond the end
  () => mqtt.packet(mqtt.PUBLISH, 0, mqtt.field(Buffer.from([0xc3, 0x28]))), // no UTF-8
  () => mqtt.packet(mqtt.SUBSCRIBE, 2, mqtt.u16(1)), // no filter
  () => mqtt.packet(mqtt.SUBSCRIBE, 0, mqtt.u16(1), mqtt.field("a"), 0), // wrong flags
  () => mqtt.packet(mqtt.CONNECT, 0, mqtt.field("MQTT"), 4, 2, 0, 0, mqtt.field("twice")),
  () => Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0xff]), // no Remaining Length
  () => Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f, 0]), // 256 MiB
  () => Buffer.from([0, 0]),
  () => Buffer.concat([mqtt.pingreq(), mqtt.pingreq(), Buffer.from([0xf0, 1, 0x99])]),
];
const GIVE_UP_MS = 3_000;

export const vandalise: Live = (world, random) =>
  world.withClient(random, async (client) => {
    if (!(await client.connect({ clientId: `vandal-${world.next()}` }))) return;
    const will = { topic: `vandal/${world.next()}`, payload: "x".repeat(below(random, 3_000)), qos: 2 };
    client.send(mqtt.publish(client.version, { ...will, packetId: 7 })); // and no PUBREL ever
    client.send(oneOf(random, WRONG)());
    await client.end(GIVE_UP_MS);
  });

/** Never gets as far as CONNACK: garbage, half of a CONNECT, a wrong protocol, nothing at all. */
export const knock: Live = (world, random) =>
  world.withClient(random, async (client) => {
    const connect = mqtt.connect({ version: client.version, clientId: `knocks-${world.next()}` });
    const words = [
      Buffer.from("GET / HTTP/1.1\r\n\r\n"),
      connect.subarray(0, 1 + below(random, connect.length - 1)),
      mqtt.packet(mqtt.CONNECT, 0, mqtt.field("MQTT"), 9, 2, 0, 0, mqtt.field("")),
      mqtt.pingreq(),
      Buffer.from([]),
      Buffer.concat([connect, connect]),
    ];
    client.send(oneOf(random, words));
    await client.end(GIVE_UP_MS);
  });

const FLOOD_MESSAGES = 60;
const FLOOD_PAYLOAD = "z".repeat(50_000);

/** A subscriber that does not read while more comes than may wait for it. */
export const dawdle: Live = (world, random) =>
  world.withClient(random, async (client) => {
    const n = world.next();
    if (!(await client.connect({ clientId: `dawdler-${n}` }))) return;
    await client.subscribe([`flood/${n}`], below(random, 3));
    client.stopReading();
    await world.withClient(random, async (flooder) => {
      if (!(await flooder.connect({ clientId: `flooder-${n}` }))) return;
      const qos = below(random, 2);
      for (let i = 0; i < FLOOD_MESSAGES; i++)
        await flooder.publish({ topic: `flood/${n}`, payload: FLOOD_PAYLOAD, qos });
      await flooder.leave();
    });
    await client.cut();
  });
