// Another machine finds the gateway by its multicast group: it hears ADVERTISE, asks with SEARCHGW and hears GWINFO, and both
// come from where the listener is.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { Namespace } from "../support/namespace.ts";
import { requirePeer, requirePython, requireRoot } from "../support/peers.ts";

interface Heard {
  readonly type: string;
  readonly from: string;
  readonly port: number;
  readonly gw_id?: number;
  readonly duration?: number;
}

class Searcher implements AsyncDisposable {
  readonly heard: Heard[] = [];
  readonly #child: ChildProcess;

  constructor(far: Namespace, group: string, port: number) {
    const script = join(import.meta.dirname, "../support/mqtt_sn_group.py");
    const args = [script, group, `${port}`, far.address, `${far.farIndex}`];
    const [program = "", ...words] = [...far.command, "/usr/bin/python3", ...args];
    this.#child = spawn(program, words, { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    this.#child.stdout?.on("data", (bytes: Buffer) => {
      text += bytes;
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      this.heard.push(...lines.map((line) => JSON.parse(line) as Heard));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}

const SKIP = requirePython("scapy.contrib.mqttsn") || requirePeer("ip") || requireRoot();

for (const { family, letter, group, host, same } of [
  {
    family: "IPv4, the group's port another than the listener's",
    letter: "m",
    group: "225.1.1.1",
    host: "0.0.0.0",
    same: false,
  },
  { family: "IPv4, one port for both", letter: "n", group: "239.1.1.1", host: "0.0.0.0", same: true },
  { family: "IPv6, link-local", letter: "o", group: "ff02::1:5", host: "::", same: false },
] as const) {
  test(`another machine finds the gateway by its group: ${family}`, { skip: SKIP }, async () => {
    using far = new Namespace(letter);
    far.addIpv6();
    await eventually("the cable", () => far.isReady());
    using folder = temporaryFolder();
    const bind = (port: number): string => (host === "::" ? `[::]:${port}` : `${host}:${port}`);
    const groupPort = 10_000 + (process.pid % 20_000);
    const to = group.includes(":") ? `[${group}]:${groupPort}` : `${group}:${groupPort}`;
    const listener = {
      type: "mqtt-sn",
      bind: bind(same ? groupPort : 0),
      gateway_id: 42,
      advertise: { to, interval: "1s" },
    };
    await using gateway = new GatewayProcess(folder.path, {
      listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }, listener],
    });
    await gateway.start();
    await using searcher = new Searcher(far, group, groupPort);
    const port = gateway.port("mqtt-sn");
    const heard = (type: string): Heard | undefined => searcher.heard.find((message) => message.type === type);
    await eventually("ADVERTISE twice and GWINFO", () => {
      const advertised = searcher.heard.filter(({ type }) => type === "ADVERTISE").length;
      return advertised >= 2 && heard("GWINFO") !== undefined;
    });
    const [advertise, gwinfo] = [heard("ADVERTISE"), heard("GWINFO")];
    assert.deepEqual([advertise?.gw_id, advertise?.duration, advertise?.port], [42, 1, port]);
    assert.deepEqual([gwinfo?.gw_id, gwinfo?.port], [42, port]);
    if (host !== "::") assert.deepEqual([advertise?.from, gwinfo?.from], [far.ownAddress, far.ownAddress]);
  });
}
