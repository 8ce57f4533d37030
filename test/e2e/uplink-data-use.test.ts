// What a data cap counts, beside what the kernel counts: mosquitto over TLS as another machine, in a network namespace
// that carries nothing else.
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { type CertificatePaths, makeCertificates } from "../../scripts/demo/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { MqttPeer } from "../support/mqtt-peer.ts";
import { Namespace } from "../support/namespace.ts";
import { peerPath, requirePeer, requireRoot } from "../support/peers.ts";
import { uplinkStatus } from "../support/remote-site.ts";

const NEEDS = { skip: requireRoot() || requirePeer("mosquitto", "ip") };
const PORT = 8883;
/** A packet's headers, IP and TCP with timestamps. */
const HEADER_BYTES = 52;

class FarCloud implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(machine: Namespace, folder: string, ca: string, server: CertificatePaths): Promise<FarCloud> {
    const file = join(folder, "far.conf");
    const lines = [
      "user root",
      "allow_anonymous true",
      "set_tcp_nodelay true",
      `listener ${PORT} ${machine.address}`,
      `cafile ${ca}`,
      `certfile ${server.cert}`,
      `keyfile ${server.key}`,
      "",
    ];
    writeFileSync(file, lines.join("\n"));
    const [ip = "", ...words] = machine.command;
    const child = spawn(ip, [...words, peerPath("mosquitto"), "-c", file], { stdio: ["ignore", "ignore", "ignore"] });
    await eventually("mosquitto listens", async () => {
      const socket = connect(PORT, machine.address);
      const answered = await once(socket, "connect").then(
        () => true,
        () => false,
      );
      socket.destroy();
      return answered;
    });
    return new FarCloud(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}

/** Bytes of IP that came and went over there, headers included. */
function bytesOnLink(machine: Namespace): number {
  const [ip = "", ...words] = machine.command;
  const read = (file: string): string => execFileSync(ip, [...words, "cat", file], { encoding: "utf8" });
  const values = (text: string, group: string): Record<string, number> => {
    const [names, numbers] = text.split("\n").filter((line) => line.startsWith(`${group}: `)) as [string, string];
    const found = numbers.split(" ");
    return Object.fromEntries(names.split(" ").map((name, i) => [name, Number(found[i])]));
  };
  const octets = values(read("/proc/self/net/netstat"), "IpExt");
  const snmp = read("/proc/self/net/snmp");
  const packets = values(snmp, "Ip");
  const segments = values(snmp, "Tcp");
  // What is handed over as one large packet has a header for each segment on a real link.
  const more = Math.max(0, (segments["OutSegs"] ?? 0) - (packets["OutRequests"] ?? 0));
  return (octets["InOctets"] ?? 0) + (octets["OutOctets"] ?? 0) + more * HEADER_BYTES;
}

test("what a data cap counts is what the kernel counts, headers and handshakes included", NEEDS, async () => {
  using folder = temporaryFolder();
  using machine = new Namespace("u");
  const request = { name: "cloud", usage: "server" as const };
  const { ca, issued } = await makeCertificates(join(folder.path, "certificates"), [request]);
  await using cloud = await FarCloud.start(machine, folder.path, ca, issued[0] as CertificatePaths);
  assert.ok(cloud);
  const uplink = {
    url: `mqtts://${machine.address}:${PORT}`,
    tls: { ca, servername: "localhost" },
    forward: [{ match: "#" }],
    data_cap: { per_month: "1GB" },
  };
  const config = { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }], uplinks: [uplink] };
  await using gateway = new GatewayProcess(folder.path, config);
  const before = bytesOnLink(machine);
  await gateway.start();
  const used = async (): Promise<number> => {
    const { dataCap } = (await uplinkStatus(gateway)).metered ?? {};
    return (dataCap?.sentBytes ?? 0) + (dataCap?.receivedBytes ?? 0);
  };
  let ratio = 0;
  const compared = async (): Promise<boolean> => {
    ratio = (await used()) / (bytesOnLink(machine) - before);
    return ratio > 0.85 && ratio < 1.15;
  };
  await eventually("it is live", async () => (await uplinkStatus(gateway)).state === "live");
  await eventually("the handshake is counted", compared);
  using device = new MqttPeer("device", 5);
  await device.connect(gateway.port());
  for (let i = 0; i < 100; i++) {
    device.publish({ topic: "s/a", payload: "x".repeat(100 + i), qos: 1, retain: false });
    await eventually("it is acknowledged", () => device.outstanding === 0);
  }
  await eventually("they were forwarded", async () => (await uplinkStatus(gateway)).forwarded === 100);
  await eventually("one by one they are counted", compared).catch((error: Error) => {
    throw new Error(`${error.message}: ${ratio} of the truth`);
  });
  for (let i = 0; i < 1000; i++) device.publish({ topic: "s/a", payload: "x".repeat(500), qos: 1, retain: false });
  await eventually("they were forwarded", async () => (await uplinkStatus(gateway)).forwarded === 1100);
  await eventually("in bulk they are counted", compared).catch((error: Error) => {
    throw new Error(`${error.message}: ${ratio} of the truth`);
  });
});
