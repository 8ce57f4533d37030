// What people and programs are told of an uplink while its cloud, Debian's mosquitto, comes and goes.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { UplinkStatus } from "../../src/uplink/uplink.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { MqttPeer } from "../support/mqtt-peer.ts";
import { requirePeer } from "../support/peers.ts";

const MOSQUITTO = { skip: requirePeer("mosquitto") };

async function text(gateway: GatewayProcess): Promise<string> {
  const { stdout } = await sluice(["status", "--config", gateway.configFile]);
  return stdout.slice(stdout.indexOf("uplink "), stdout.indexOf("\ndrops"));
}

async function status(gateway: GatewayProcess): Promise<UplinkStatus> {
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  return (JSON.parse(stdout) as { uplinks: UplinkStatus[] }).uplinks[0] as UplinkStatus;
}

test("status, $SYS and log of an uplink through down, draining, live, held and removed", MOSQUITTO, async () => {
  using folder = temporaryFolder();
  using cloudFolder = temporaryFolder();
  await using cloud = await Mosquitto.start(cloudFolder.path);
  await cloud.stop();
  const uplink = {
    client_id: "gw",
    url: `mqtt://127.0.0.1:${cloud.port}`,
    forward: [{ match: "s/#" }, { match: "alarm", priority: 7 }],
  };
  // The interval is so long that what is told in between is told because it changed.
  const config = { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }], sys_interval: "1h", uplinks: [uplink] };
  await using gateway = new GatewayProcess(folder.path, config);
  await gateway.start();
  using device = new MqttPeer("device", 5);
  const sys = new Map<string, string>();
  device.onMessage = ({ topic, payload }) => {
    sys.set(topic.replace("$SYS/sluice/uplink/cloud/", ""), payload);
  };
  await device.connect(gateway.port());
  await device.subscribe("$SYS/#", 0);
  await eventually("it is down", async () => (await status(gateway)).lastError !== null);
  for (const topic of ["s/a", "alarm"]) device.publish({ topic, payload: "1", qos: 1, retain: false });
  await eventually("they are stored", () => device.outstanding === 0);

  const down = await text(gateway);
  assert.match(
    down,
    /^uplink +cloud (down for|resolving, away for|connecting, away for) \d+s, mqtt:\/\/127.0.0.1:\d+, 2 messages of \d+ B wait, the oldest for \d+s, 0 of 64 under way, 0 forwarded, 0 received$/m,
  );
  assert.match(down, /^ +last error at \S+Z: 127\.0\.0\.1:\d+: connection refused \(ECONNREFUSED\)$/m);
  assert.match(down, /^ +what to do: look whether the broker runs/m);
  assert.match(down, /^ +priority 7: 1 messages of \d+ B wait, the oldest for \d+s, 0 % full$/m);
  assert.match(sys.get("last_error") ?? "", /connection refused/);
  assert.equal(sys.get("$SYS/broker/connection/cloud/state"), "0");

  await cloud.restart();
  await eventually("it is live", () => sys.get("state") === "live");
  const { protocol, lastError, lastOutage, forwarded, spool } = await status(gateway);
  assert.deepEqual([protocol, lastError, forwarded, spool.messages, spool.oldestMs], [5, null, 2, 0, null]);
  assert.match(lastOutage?.reason ?? "", /connection refused/);
  assert.match(
    await text(gateway),
    /^uplink +cloud live for \d+s, mqtt:\/\/127.0.0.1:\d+ by MQTT 5\.0, nothing waits, 0 of \d+ under way,.* 2 forwarded.*, 0 received\n +last outage: \d+s until \S+Z: .*connection refused/m,
  );
  assert.equal(sys.get("$SYS/broker/connection/cloud/state"), "1");
  assert.equal(sys.get("last_error"), "none");
  assert.equal(sys.get("protocol"), "5");

  gateway.configure({ ...config, uplinks: [{ ...uplink, connect: { every: "1h", for: "1s" } }] });
  await sluice(["reload", "--config", gateway.configFile]);
  await eventually("it is held", () => sys.get("state") === "held");
  assert.match(sys.get("held_by") ?? "", /connects at/);
  assert.match(await text(gateway), /^uplink +cloud held for .*\n +held: connects at/m);

  gateway.configure({ ...config, uplinks: [] });
  await sluice(["reload", "--config", gateway.configFile]);
  await eventually("it is gone", () => sys.get("state") === "");
  assert.equal(sys.get("$SYS/broker/connection/cloud/state"), "");
  assert.equal(await text(gateway), "");
  const lines = gateway.stderr.split("\n").filter((line) => / uplink-/.test(line) || line.includes('"uplink-'));
  const events = lines.map((line) => /uplink-[a-z]+/.exec(line)?.[0]);
  assert.deepEqual(events, ["uplink-down", "uplink-connected", "uplink-connected", "uplink-held", "uplink-removed"]);
});
