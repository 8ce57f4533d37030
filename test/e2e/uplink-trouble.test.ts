// What a technician reads when the uplink does not come up: in the status and once in the log, in words.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { createServer } from "node:tls";
import { makeCertificates } from "../../scripts/demo/certificates.ts";
import { datedCertificate } from "../support/dated-certificates.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { peerPath, requirePeer } from "../support/peers.ts";
import { uplinkStatus } from "../support/remote-site.ts";

const MOSQUITTO = { skip: requirePeer("mosquitto") };

function configuration(uplink: Record<string, unknown>): Record<string, unknown> {
  return { listeners: [], uplinks: [{ name: "cloud", client_id: "gateway", ...uplink }], log: { format: "json" } };
}

/** Starts a gateway with this uplink and waits until its status has a last error that matches. */
async function lastError(folder: string, uplink: Record<string, unknown>, expected: RegExp): Promise<void> {
  await using gateway = new GatewayProcess(folder, configuration(uplink));
  await gateway.start();
  let seen = "";
  await eventually(`${expected}`, async () => {
    seen = (await uplinkStatus(gateway)).lastError ?? "";
    return expected.test(seen);
  }).catch(() => assert.match(seen, expected));
  const lines = gateway.stderr.split("\n").filter((line) => line.includes("uplink-down"));
  assert(
    lines.some((line) => expected.test((JSON.parse(line) as { reason: string }).reason)),
    gateway.stderr,
  );
}

test("a login the cloud refuses, then the right password in the same file", MOSQUITTO, async () => {
  using folder = temporaryFolder();
  const passwords = join(folder.path, "passwords");
  spawnSync(peerPath("mosquitto_passwd"), ["-b", "-c", passwords, "gw", "right"]);
  await using cloud = await Mosquitto.start(folder.path, [`password_file ${passwords}`, "allow_anonymous false"]);
  const { ca, client, tlsPort } = cloud;
  const uplink = {
    url: `mqtts://localhost:${tlsPort}`,
    tls: { ca, cert: client.cert, key: client.key },
    username: "gw",
    password_file: join(folder.path, "cloud.pw"),
  };
  writeFileSync(uplink.password_file, "wrong\n");
  await lastError(folder.path, uplink, /^refused: not authorised/);
  await lastError(folder.path, { ...uplink, protocol: 4 }, /^refused: not authorised/);

  await using gateway = new GatewayProcess(folder.path, configuration(uplink));
  await gateway.start();
  await eventually("it was refused", async () => (await uplinkStatus(gateway)).lastError !== null);
  writeFileSync(uplink.password_file, "right\n");
  await eventually("it is live", async () => (await uplinkStatus(gateway)).state === "live");
  assert.equal((await uplinkStatus(gateway)).lastError, null);
});

test("certificates: a foreign authority, none of ours, a foreign one of ours, another name", MOSQUITTO, async () => {
  using folder = temporaryFolder();
  await using cloud = await Mosquitto.start(folder.path);
  const foreign = await makeCertificates(join(folder.path, "foreign"), [{ name: "gateway", usage: "client" }]);
  const { ca, client, tlsPort } = cloud;
  const url = `mqtts://localhost:${tlsPort}`;
  const tls = { ca, cert: client.cert, key: client.key };
  await lastError(folder.path, { url, tls: { ...tls, ca: foreign.ca } }, /the certificate's issuer is not trusted/);
  await lastError(folder.path, { url, tls: { ca } }, /the server wants a client certificate/);
  const stranger = { ca, cert: foreign.issued[0]?.cert, key: foreign.issued[0]?.key };
  await lastError(folder.path, { url, tls: stranger }, /the server (does not trust|refuses) our certificate/);
  await lastError(folder.path, { url, tls: { ...tls, servername: "elsewhere.example" } }, /elsewhere\.example/);
});

test("the cloud's certificate has expired: the day is named", async () => {
  using folder = temporaryFolder();
  const { ca, cert, key } = datedCertificate({ from: "2024-01-01", to: "2024-02-01" });
  writeFileSync(join(folder.path, "ca.pem"), ca);
  const server = createServer({ cert, key });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const uplink = { url: `mqtts://localhost:${port}`, tls: { ca: join(folder.path, "ca.pem") } };
  await lastError(folder.path, uplink, /the certificate expired on 2024-02-01/).finally(() => server.close());
});

test("nobody at the address, and no such name", async () => {
  using folder = temporaryFolder();
  await lastError(folder.path, { url: "mqtt://127.0.0.1:1" }, /127\.0\.0\.1:1: connection refused/);
  await lastError(folder.path, { url: "mqtt://nowhere.invalid" }, /nowhere\.invalid:1883: name/);
});
