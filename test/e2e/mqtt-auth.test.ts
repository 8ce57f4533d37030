// Enhanced authentication with a real client: MQTT.js with SCRAM-SHA-256, over a password file that `sluice passwd`
// wrote; the access list and the ownership of sessions go by the name that was proven.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { ScramClient } from "../../src/core/scram.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { sluice as command } from "../unit/cli/sluice.ts";

const METHOD = "SCRAM-SHA-256";

/** A client that logs in by SCRAM, and only stays if the gateway proves that it knows the password, too. */
async function connectByScram(
  port: number,
  user: string,
  password: string,
  options: IClientOptions = {},
): Promise<MqttClient> {
  const scram = new ScramClient(user, password, `nonce-${Math.random()}`);
  const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
    protocolVersion: 5,
    reconnectPeriod: 0,
    ...options,
    properties: {
      ...options.properties,
      authenticationMethod: METHOD,
      authenticationData: Buffer.from(scram.first),
    },
  });
  client.handleAuth = (packet, callback): void => {
    const challenge = packet.properties?.authenticationData?.toString() ?? "";
    callback(undefined, {
      cmd: "auth",
      reasonCode: 0x18,
      properties: {
        authenticationMethod: METHOD,
        authenticationData: Buffer.from(scram.final(challenge, 10_000) ?? ""),
      },
    });
  };
  return new Promise((resolve, reject) => {
    client.once("error", (error) => {
      client.end(true);
      reject(error);
    });
    client.once("connect", ({ properties }) => {
      if (scram.verifies(properties?.authenticationData?.toString() ?? "")) resolve(client);
      else reject(new Error("the gateway did not prove that it knows the password"));
    });
  });
}

test("MQTT.js logs in by SCRAM: rights and sessions are those of the user who proved it", async () => {
  using folder = temporaryFolder();
  const passwords = join(folder.path, "passwd");
  const acl = join(folder.path, "acl");
  for (const user of ["anna", "zoe"]) {
    const { code, stderr } = await command(["passwd", passwords, user, "--stdin"], `${user}'s pässword\n`);
    assert.equal(code, 0, stderr);
  }
  writeFileSync(acl, "user anna\ntopic readwrite a/#\n");
  await using gateway = new GatewayProcess(folder.path, {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0", anonymous: "never" }],
    auth: { password_file: passwords, acl_file: acl },
    limits: { handshakes_per_second: 1000 },
  });
  await gateway.start();
  const port = gateway.port();

  const anna = await connectByScram(port, "anna", "anna's pässword", {
    clientId: "panel",
    clean: false,
    properties: { sessionExpiryInterval: 600 },
  });
  const got: string[] = [];
  anna.on("message", (topic) => got.push(topic));
  await anna.subscribeAsync("#", { qos: 1 });
  await anna.publishAsync("a/1", "x", { qos: 1 });
  await assert.rejects(anna.publishAsync("b/1", "x", { qos: 1 }), { code: 0x87 });
  await eventually("what she may", () => got.length > 0);
  assert.deepEqual(got, ["a/1"]);
  await anna.endAsync();

  await assert.rejects(connectByScram(port, "zoe", "zoe's pässword", { clientId: "panel" }), { code: 0x87 });
  await assert.rejects(connectByScram(port, "anna", "zoe's pässword"), { code: 0x86 });
  await assert.rejects(connectByScram(port, "nobody", "x"), { code: 0x8c });
  // The same password in the plain way.
  const plain = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
    username: "zoe",
    password: "zoe's pässword",
    protocolVersion: 4,
  });
  await new Promise((resolve, reject) => plain.once("connect", resolve).once("error", reject));
  await plain.endAsync();

  // A reload takes the entry away: whoever is in stays, nobody else comes in by it.
  const stays = await connectByScram(port, "zoe", "zoe's pässword");
  assert.equal((await command(["passwd", passwords, "zoe", "--delete"])).code, 0);
  gateway.signal("SIGHUP");
  await eventually("the reload", () => gateway.stderr.includes("reloaded"));
  await assert.rejects(connectByScram(port, "zoe", "zoe's pässword"), { code: 0x8c });
  assert.equal(stays.connected, true);
  await stays.endAsync();
});
