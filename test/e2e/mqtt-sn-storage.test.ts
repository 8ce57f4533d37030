// Test whether what a device was acknowledged stands, whatever happens to the gateway and its disk: kill -9 in the middle of
// publishing and of its sleep, and a disk that is full for a while.
import assert from "node:assert/strict";
import { test } from "node:test";
import { GatewayOnDisk, SmallDisk } from "../support/disk.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess } from "../support/gateway-process.ts";
import { MqttCollector, persistent } from "../support/mqtt-collector.ts";
import { requirePeer, requireRoot } from "../support/peers.ts";
import { hexOf, messageOf, RawMqttSn } from "../support/raw-mqtt-sn.ts";

const KILLS = process.env["SLUICE_LONG"] === undefined ? 3 : 40;
const SLOW_MS = 15;
const skip = requirePeer("cc");

const LASTING = 0x00;
const CONNACK_OK = "030500";
const CONGESTION = "01";
const u16 = (value: number): string => value.toString(16).padStart(4, "0");
const connectOf = (id: string): string =>
  messageOf(0x04, `${LASTING.toString(16).padStart(2, "0")} 01 0e10 ${hexOf(id)}`);
/** To the short name "lg". */
const publishOf = (qos: 1 | 2, msgId: number, payload: string, dup = false): string =>
  messageOf(0x0c, `${((qos << 5) | 2 | (dup ? 0x80 : 0)).toString(16)} ${hexOf("lg")} ${u16(msgId)} ${hexOf(payload)}`);

const LISTENER = { type: "mqtt-sn", bind: "127.0.0.1:0", rate: 1_000_000 };
const DISK_MIB = 40;

const onDisk = (): GatewayOnDisk => new GatewayOnDisk(LISTENER);

const deviceOf = (gateway: GatewayProcess): Promise<RawMqttSn> => RawMqttSn.open(gateway.port("mqtt-sn"));

/** A session that subscribed at QoS 2 and is away; its messages come to whoever opens it again. */
async function away(gateway: GatewayProcess, filter: string): Promise<void> {
  await using session = await MqttCollector.open(gateway.port(), "none", persistent("away"));
  await session.client.subscribeAsync(filter, { qos: 2 });
}

test(`kill -9 in the middle of publishing, ${KILLS} times: QoS 1 comes once at least, QoS 2 once`, {
  skip,
}, async () => {
  await using disk = onDisk();
  const { gateway } = disk;
  await gateway.start();
  await away(gateway, "lg");
  disk.is(`slow_us=${SLOW_MS * 1000}`);
  const acknowledged: string[] = [];
  let msgId = 0;
  let atStart = true;
  /** What the device does not know the end of. */
  let open: { qos: 1 | 2; msgId: number; payload: string; released: boolean } | null = null;
  for (let kill = 0; kill <= KILLS; kill++) {
    if (!atStart) await gateway.start();
    atStart = false;
    await using device = await deviceOf(gateway);
    const answered = async (hex: string, prefix: string): Promise<boolean> => {
      device.send(hex);
      try {
        await eventually(prefix, () => !gateway.running || device.got.some((got) => got.startsWith(prefix)));
      } catch {
        return false;
      }
      const at = device.got.findIndex((got) => got.startsWith(prefix));
      if (at >= 0) device.got.splice(at, 1);
      return at >= 0;
    };
    await device.ask(connectOf("sensor"), CONNACK_OK);
    const killed = kill === KILLS ? null : gateway.end.bind(gateway, "SIGKILL");
    let end: Promise<unknown> = Promise.resolve();
    if (killed !== null)
      end = eventually("some are acknowledged", () => acknowledged.length > 12 * (kill + 1)).then(killed);
    while (gateway.running && (killed !== null || acknowledged.length < 12 * (KILLS + 2))) {
      const isAgain = open !== null;
      open ??= { qos: msgId % 2 === 0 ? 1 : 2, msgId: ++msgId, payload: `m${msgId}`, released: false };
      if (!open.released) {
        const done = await answered(
          publishOf(open.qos, open.msgId, open.payload, isAgain),
          open.qos === 1 ? `070d${hexOf("lg")}${u16(open.msgId)}00` : `040f${u16(open.msgId)}`,
        );
        if (!done) continue;
        acknowledged.push(open.payload);
        if (open.qos === 1) {
          open = null;
          continue;
        }
        open.released = true;
      }
      if (await answered(`0410${u16(open.msgId)}`, `040e${u16(open.msgId)}`)) open = null;
    }
    await end;
  }
  disk.is("");
  await using back = await MqttCollector.open(gateway.port(), "none", persistent("away"));
  await eventually("what was acknowledged", () => acknowledged.every((payload) => back.payloads.includes(payload)));
  const twice = back.payloads.filter((payload, i) => back.payloads.indexOf(payload) !== i);
  const ofQos2 = twice.filter((payload) => Number(payload.slice(1)) % 2 === 0);
  assert.deepEqual(ofQos2, [], "QoS 2 comes once");
});

test("what waits for a sleeping client at QoS 1 and 2 outlives kill -9, and comes once it has connected again", {
  skip,
}, async () => {
  await using disk = onDisk();
  const { gateway } = disk;
  await gateway.start();
  {
    await using device = await deviceOf(gateway);
    await device.ask(connectOf("sleeper"), CONNACK_OK);
    await device.ask(messageOf(0x12, `42 0001 ${hexOf("dn")}`), "0813");
    await device.ask(messageOf(0x18, "003c"), "0218");
    await using sender = await MqttCollector.open(gateway.port(), "none");
    await sender.client.publishAsync("dn", "one", { qos: 1 });
    await sender.client.publishAsync("dn", "two", { qos: 2 });
    await gateway.end("SIGKILL");
  }
  await gateway.start();
  await using device = await deviceOf(gateway);
  assert.equal(await device.ask(messageOf(0x16, hexOf("sleeper")), "02"), "0218", "it is nobody that is connected");
  await device.ask(connectOf("sleeper"), CONNACK_OK);
  // Whether they went out before the end nobody knows, so they have DUP.
  const one = await device.take(`0a0ca2${hexOf("dn")}`);
  assert.equal(one.slice(14), hexOf("one"));
  device.send(`070d ${hexOf("dn")} ${one.slice(10, 14)} 00`);
  const two = await device.take(`0a0cc2${hexOf("dn")}`);
  assert.equal(two.slice(14), hexOf("two"));
  await device.ask(`040f ${two.slice(10, 14)}`, `0410${two.slice(10, 14)}`);
  await gateway.end("SIGKILL");
  await gateway.start();
  await using again = await deviceOf(gateway);
  await again.ask(connectOf("sleeper"), CONNACK_OK);
  // The release was stored: what comes is PUBREL, and no second PUBLISH.
  const pubrel = await again.take("04");
  assert.equal(pubrel, `0410${two.slice(10, 14)}`);
  again.send(`040e ${two.slice(10, 14)}`);
  await again.ask("0216", "0217");
  assert.deepEqual(again.got, []);
});

test("a disk that is full: PUBACK says congestion, SUBACK waits, QoS 0 goes on, and there is room again later", {
  skip: requireRoot(),
}, async () => {
  using disk = new SmallDisk(DISK_MIB);
  await using gateway = new GatewayProcess(disk.path, {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }, LISTENER],
    limits: { session_queue_messages: 100_000, session_queue_bytes: "16MiB" },
  });
  await gateway.start();
  await away(gateway, "lg");
  await using device = await deviceOf(gateway);
  await device.ask(connectOf("sensor"), CONNACK_OK);
  disk.fill();
  let msgId = 0;
  const publish = async (payload: string): Promise<string> => {
    const id = u16(++msgId);
    return (await device.ask(publishOf(1, msgId, payload), `070d${hexOf("lg")}${id}`)).slice(-2);
  };
  // Some room is left in the files that are there.
  const taken: string[] = [];
  const filler = (): string => `${taken.length}`.padEnd(200, "f");
  while ((await publish(filler())) === "00") taken.push(filler());
  assert.equal(await publish("refused"), CONGESTION);
  const pubrec = await device.ask(publishOf(2, 4000, "refused, too"), `070d${hexOf("lg")}0fa0`);
  assert.equal(pubrec.slice(-2), CONGESTION);
  device.send(messageOf(0x12, `22 0fa1 ${hexOf("xx")}`));
  {
    await using live = await MqttCollector.open(gateway.port(), "qq");
    device.send(messageOf(0x0c, `02 ${hexOf("qq")} 0000 ${hexOf("live")}`));
    assert.equal((await live.take(1))[0]?.payload, "live");
  }
  assert.deepEqual(device.got, [], "a subscription that is not stored is not acknowledged");
  disk.free();
  await device.take("081320 0000 0fa1 00");
  await eventually("publishes are taken", async () => (await publish("later")) === "00");
  await using back = await MqttCollector.open(gateway.port(), "none", persistent("away"));
  await eventually("what was taken comes", () => back.payloads.includes("later"));
  assert.deepEqual(new Set(back.payloads), new Set([...taken, "later"]));
});
