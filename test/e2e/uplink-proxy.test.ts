// The uplink through proxies as sites have them: tinyproxy (HTTP CONNECT) and microsocks (SOCKS 5), to mosquitto over TLS
// with client certificates, and to another gateway over secure WebSocket. What proxies do wrong is in
// test/unit/transport/proxy/proxy.test.ts.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { makeCertificates } from "../../scripts/demo/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { peerPath, requirePeer } from "../support/peers.ts";
import { uplinkStatus } from "../support/remote-site.ts";

const MOSQUITTO = requirePeer("mosquitto");

class ProxyProcess implements AsyncDisposable {
  readonly port: number;
  readonly #start: () => ChildProcess;
  #child: ChildProcess | null = null;

  private constructor(port: number, start: () => ChildProcess) {
    this.port = port;
    this.#start = start;
  }

  /** Lets user gw with password "secret" through, to `ports` alone. */
  static async tinyproxy(folder: string, ports: readonly number[]): Promise<ProxyProcess> {
    const port = await freePort();
    const file = join(folder, "tinyproxy.conf");
    const lines = [`Port ${port}`, "Listen 127.0.0.1", "Allow 127.0.0.1", "Timeout 600", "BasicAuth gw secret"];
    writeFileSync(file, [...lines, ...ports.map((to) => `ConnectPort ${to}`), ""].join("\n"));
    const words = ["-d", "-c", file];
    const proxy = new ProxyProcess(port, () => spawn(peerPath("tinyproxy"), words, { stdio: "ignore" }));
    await proxy.start();
    return proxy;
  }

  static async microsocks(): Promise<ProxyProcess> {
    const port = await freePort();
    const words = ["-i", "127.0.0.1", "-p", `${port}`, "-u", "gw", "-P", "secret"];
    const proxy = new ProxyProcess(port, () => spawn(peerPath("microsocks"), words, { stdio: "ignore" }));
    await proxy.start();
    return proxy;
  }

  async start(): Promise<void> {
    this.#child = this.#start();
    await eventually("the proxy listens", () => answers(this.port));
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

function configuration(uplink: Record<string, unknown>): Record<string, unknown> {
  return { listeners: [], uplinks: [{ name: "cloud", client_id: "gateway", ...uplink }], log: { format: "json" } };
}

async function lives(gateway: GatewayProcess): Promise<void> {
  await eventually("it is live", async () => (await uplinkStatus(gateway)).state === "live");
}

async function says(gateway: GatewayProcess, words: RegExp): Promise<void> {
  let seen = "";
  await eventually(`${words}`, async () => {
    seen = (await uplinkStatus(gateway)).lastError ?? "";
    return words.test(seen);
  }).catch(() => assert.match(seen, words));
}

const KINDS = [
  { scheme: "http", peer: "tinyproxy", start: ProxyProcess.tinyproxy },
  { scheme: "socks5", peer: "microsocks", start: ProxyProcess.microsocks },
] as const;

for (const { scheme, peer, start } of KINDS) {
  const skip = MOSQUITTO || requirePeer(peer);

  test(`${peer}: to mosquitto with client certificates; wrong password, then the right one; the proxy dies and comes back`, {
    skip,
  }, async () => {
    using folder = temporaryFolder();
    await using cloud = await Mosquitto.start(folder.path);
    const { ca, client, tlsPort } = cloud;
    await using proxy = await start(folder.path, [tlsPort]);
    const passwordFile = join(folder.path, "proxy.pw");
    writeFileSync(passwordFile, "wrong\n");
    const uplink = {
      url: `mqtts://localhost:${tlsPort}`,
      tls: { ca, cert: client.cert, key: client.key },
      proxy: `${scheme}://gw@127.0.0.1:${proxy.port}`,
      proxy_password_file: passwordFile,
    };
    await using gateway = new GatewayProcess(folder.path, configuration(uplink));
    await gateway.start();
    await says(gateway, /: proxy 127\.0\.0\.1:\d+: it refuses the user name or password/);
    writeFileSync(passwordFile, "secret\n");
    await lives(gateway);
    await proxy.stop();
    await says(gateway, /: proxy 127\.0\.0\.1:\d+: connection refused/);
    await proxy.start();
    await lives(gateway);
  });

  test(`${peer}: to a server that is not there, and one that it does not allow`, {
    skip: requirePeer(peer),
  }, async () => {
    using folder = temporaryFolder();
    const gone = await freePort();
    await using proxy = await start(folder.path, [gone]);
    const passwordFile = join(folder.path, "proxy.pw");
    writeFileSync(passwordFile, "secret\n");
    const uplink = {
      proxy: `${scheme}://gw@127.0.0.1:${proxy.port}`,
      proxy_password_file: passwordFile,
    };
    await using gateway = new GatewayProcess(
      folder.path,
      configuration({ ...uplink, url: `mqtt://127.0.0.1:${gone}` }),
    );
    await gateway.start();
    await says(gateway, /it does not reach the server|the server refused its connection/);
    await gateway.end();
    if (scheme !== "http") return;
    gateway.configure(configuration({ ...uplink, url: "mqtt://127.0.0.1:9" }));
    await gateway.start();
    await says(gateway, /it does not allow connections to this server or port \(403/);
  });

  test(`${peer}: secure WebSocket to another gateway`, { skip: requirePeer(peer) }, async () => {
    using folder = temporaryFolder();
    using far = temporaryFolder();
    const { ca, issued } = await makeCertificates(join(folder.path, "certificates"), [
      { name: "localhost", usage: "server" },
    ]);
    const tls = { cert: issued[0]?.cert, key: issued[0]?.key };
    const listeners = [{ type: "ws", bind: "127.0.0.1:0", path: "/broker", tls }];
    await using cloud = new GatewayProcess(far.path, { listeners });
    await cloud.start();
    const port = cloud.port("ws");
    await using proxy = await start(folder.path, [port]);
    const passwordFile = join(folder.path, "proxy.pw");
    writeFileSync(passwordFile, "secret\n");
    const uplink = {
      url: `wss://localhost:${port}/broker`,
      tls: { ca },
      proxy: `${scheme}://gw@127.0.0.1:${proxy.port}`,
      proxy_password_file: passwordFile,
    };
    await using gateway = new GatewayProcess(folder.path, configuration(uplink));
    await gateway.start();
    await lives(gateway);
  });
}
