// A server that refuses: with each code that MQTT has for it, with a name that is not found, with certificates that have
// ended. The status says why in words, and as soon as it accepts, everything arrives.
import assert from "node:assert/strict";
import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { CertificatePaths } from "../../scripts/demo/certificates.ts";
import type { UplinkStatus } from "../../src/uplink/uplink.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { HandServer } from "../support/hand-server.ts";
import { Judge } from "../support/judge.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { MovedClock } from "../support/moved-clock.ts";
import type { Version } from "../support/mqtt-packets.ts";
import { MqttPeer } from "../support/mqtt-peer.ts";
import { requirePeer } from "../support/peers.ts";
import { drainBegan, EXPIRED_ON, RemoteSite, untilStatus } from "../support/remote-site.ts";
import { Source } from "../support/source.ts";
import { preloadable } from "../support/store-process.ts";
import { ALPN_NAME } from "../support/tls-door.ts";

/** Return codes of 3.1.1, and one that it reserves. */
const RETURN_CODES: readonly (readonly [code: number, words: RegExp])[] = [
  [1, /^refused: unsupported protocol version$/],
  [2, /^refused: client id not accepted$/],
  [3, /^refused: server unavailable$/],
  [4, /^refused: bad user name or password$/],
  [5, /^refused: not authorised$/],
  [6, /^refused: unspecified error$/],
];

/** Reason codes that a CONNACK of 5.0 may have, section 3.2.2.2. */
const REASON_CODES: readonly (readonly [code: number, words: RegExp])[] = [
  [0x80, /^refused: unspecified error$/],
  [0x81, /^refused: malformed packet$/],
  [0x82, /^refused: protocol error$/],
  [0x83, /^refused: implementation specific error$/],
  [0x84, /^refused: unsupported protocol version$/],
  [0x85, /^refused: client id not accepted$/],
  [0x86, /^refused: bad user name or password$/],
  [0x87, /^refused: not authorised$/],
  [0x88, /^refused: server unavailable$/],
  [0x89, /^refused: server busy$/],
  [0x8a, /^refused: banned$/],
  [0x8c, /^refused: bad authentication method$/],
  [0x90, /^refused: topic name invalid$/],
  [0x95, /^refused: packet too large$/],
  [0x97, /^refused: quota exceeded$/],
  [0x99, /^refused: payload format invalid$/],
  [0x9a, /^refused: retain not supported$/],
  [0x9b, /^refused: qos not supported$/i],
  [0x9c, /^refused: use another server/],
  [0x9d, /^refused: server moved/],
  [0x9f, /^refused: connection rate exceeded$/],
];

const MESSAGES = 40;

for (const version of [5, 4] as const) {
  const codes = version === 5 ? REASON_CODES : RETURN_CODES;
  test(`each of the ${codes.length} codes of a CONNACK of MQTT ${version === 5 ? "5.0" : "3.1.1"} is told in words, and tried again`, {
    skip: requirePeer("cc"),
  }, async () => {
    using folder = temporaryFolder();
    using scope = new DisposableStack();
    await using servers = new AsyncDisposableStack();
    const clock = new MovedClock(folder.path);
    let refusing = true;
    const cases: { name: string; words: RegExp; server: HandServer; judge: Judge }[] = [];
    for (const [code, words] of codes) {
      const server = servers.use(await HandServer.open());
      const judge = judgeOf(server);
      server.manners = () =>
        refusing ? { onConnect: (connection) => connection.connack(codeFor(connection, code)) } : {};
      cases.push({ name: `code-${code}`, words, server, judge });
    }
    await using gateway = new GatewayProcess(
      folder.path,
      {
        listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
        memory_limit: "64MiB",
        uplinks: cases.map(({ name, server }) => uplink(name, server.port, version)),
      },
      clock.env,
    );
    await gateway.start();
    const source = new Source(scope.use(new MqttPeer("device", 5)), 1, "s");
    source.onAcknowledged = (message) => {
      for (const { judge } of cases) judge.acknowledged(message);
    };
    await source.peer.connect(gateway.port());
    await source.publishTo(MESSAGES);

    let seen = new Map<string, UplinkStatus>();
    await eventually("each says why", async () => {
      seen = await statuses(gateway);
      return cases.every(({ name, words }) => words.test(seen.get(name)?.lastError ?? ""));
    }).catch(() => {
      for (const { name, words } of cases) assert.match(seen.get(name)?.lastError ?? "", words, name);
    });
    const down = gateway.stderr.split("\n").filter((line) => line.includes("uplink-down"));
    assert.equal(down.length, cases.length, `logged once for each\n${down.join("\n")}`);

    clock.set({ speed: 60 });
    refusing = false;
    await Promise.all(cases.map(({ judge }) => judge.untilComplete()));
    for (const { judge } of cases) judge.verdict({ cuts: 0, window: 0 });
    await eventually("none has a last error", async () =>
      [...(await statuses(gateway)).values()].every(({ state, lastError }) => state === "live" && lastError === null),
    );
  });
}

test("the cloud's certificate has expired and is renewed: the day is named, then the backlog drains", {
  skip: requirePeer("mosquitto", "cc"),
}, async () => {
  using folder = temporaryFolder();
  const clock = new MovedClock(folder.path);
  await using site = await RemoteSite.open(folder.path, { env: clock.env });
  const { door, gateway, judge, certificates } = site;
  await door.show(certificates.expired);
  await gateway.start();
  const source = await site.source("one", 1);
  await source.publishTo(MESSAGES);
  await untilStatus(gateway, "it is down", ({ lastError }) =>
    /the certificate expired on 2024-02-01/.test(lastError ?? ""),
  );
  clock.set({ speed: 30 });
  await drainBegan(site, () => door.show(certificates.server));
  await judge.untilComplete();
  judge.verdict({ cuts: 0, window: 0 });
});

test("a door that demands an ALPN name and a certificate: without either it stays closed, and the words say which", {
  skip: requirePeer("mosquitto"),
}, async () => {
  using folder = temporaryFolder();
  await using site = await RemoteSite.open(folder.path);
  const { gateway, door, link } = site;
  const { ca, client } = site.certificates;
  const url = `mqtts://localhost:${link.port}`;
  const tls = { ca, cert: client.cert, key: client.key };
  const cases = [
    { name: "nameless", tls, words: /without an answer to CONNECT|closed/ },
    { name: "other-name", tls: { ...tls, alpn: ["mqtt"] }, words: /knows none of the configured ALPN protocols/ },
    { name: "no-certificate", tls: { ca, alpn: [ALPN_NAME] }, words: /closed|the server wants a client certificate/ },
  ];
  const uplinks = cases.map((spec) => ({ ...uplink(spec.name, 0, 5), url, tls: spec.tls }));
  gateway.configure({ ...site.configuration(), uplinks, memory_limit: "64MiB" });
  await gateway.start();
  await eventually("each says why", async () => {
    const seen = await statuses(gateway);
    return cases.every(({ name, words }) => words.test(seen.get(name)?.lastError ?? ""));
  }).catch(() => assert.fail(gateway.stderr));
  assert.ok(door.nameless > 0);
  gateway.configure(site.configuration());
  gateway.signal("SIGHUP");
  await untilStatus(gateway, "with both it opens", ({ name, state }) => name === "cloud" && state === "live");
});

test("our certificate has expired and is replaced in its file: the backlog drains without a restart", {
  skip: requirePeer("mosquitto", "cc"),
}, async () => {
  using folder = temporaryFolder();
  using scope = new DisposableStack();
  const clock = new MovedClock(folder.path);
  const old = { name: "old", usage: "client", notAfter: EXPIRED_ON } as const;
  await using cloud = await Mosquitto.start(folder.path, [], [], [old]);
  const tls = { ca: cloud.ca, cert: join(folder.path, "mine.pem"), key: join(folder.path, "mine.key") };
  const have = ({ cert, key }: CertificatePaths): void => {
    copyFileSync(cert, tls.cert);
    copyFileSync(key, tls.key);
  };
  have(cloud.others[0] as CertificatePaths);
  const config = {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    uplinks: [{ ...uplink("cloud", 0, 5), url: `mqtts://localhost:${cloud.tlsPort}`, tls }],
  };
  await using gateway = new GatewayProcess(folder.path, config, clock.env);
  await gateway.start();
  const judge = new Judge(
    (topic) => topic,
    () => false,
  );
  const collector = scope.use(new MqttPeer("collector", 5));
  collector.onMessage = (message) => judge.arrive(message);
  await collector.connect(cloud.port);
  await collector.subscribe("s/#", 1);
  const source = new Source(scope.use(new MqttPeer("device", 5)), 1, "s");
  source.onAcknowledged = (message) => judge.acknowledged(message);
  await source.peer.connect(gateway.port());
  await source.publishTo(MESSAGES);
  await untilStatus(gateway, "it is down", ({ lastError }) => /our certificate (has )?expired/.test(lastError ?? ""));
  have(cloud.client);
  clock.set({ speed: 30 });
  await judge.untilComplete();
  judge.verdict({ cuts: 0, window: 0 });
});

test("the name server does not answer, then not at once, then it does: the backlog drains, and another uplink never waited", {
  skip: requirePeer("mosquitto", "cc"),
}, async () => {
  using folder = temporaryFolder();
  const blocks = join(folder.path, "blocks");
  const answers = join(folder.path, "answers");
  const env = { LD_PRELOAD: preloadable("resolver-shim"), RESOLVER_BLOCKS: blocks, RESOLVER_ANSWERS: answers };
  await using other = await HandServer.open();
  await using site = await RemoteSite.open(folder.path, { env });
  const { gateway, judge, link } = site;
  const [cloud] = (site.configuration() as { uplinks: Record<string, unknown>[] }).uplinks;
  const named = {
    ...cloud,
    url: `mqtts://cloud.dead:${link.port}`,
    tls: { ...(cloud?.["tls"] as object), servername: "localhost" },
  };
  gateway.configure({ ...site.configuration(), uplinks: [named, uplink("other", other.port, 5)] });
  const others = judgeOf(other);
  writeFileSync(blocks, "");
  await gateway.start();
  const source = await site.source("one", 1);
  source.onAcknowledged = (message) => {
    judge.acknowledged(message);
    others.acknowledged(message);
  };
  await source.publishTo(MESSAGES);
  await others.untilComplete();
  other.cut();
  await source.publishTo(2 * MESSAGES);
  await others.untilComplete();
  assert.equal(judge.arrived, 0);
  assert.match((await site.status()).state, /resolving|connecting/);
  rmSync(blocks);
  await untilStatus(gateway, "the name server", ({ lastError }) =>
    /cloud\.dead:\d+: name server does not answer/.test(lastError ?? ""),
  );
  writeFileSync(answers, "");
  await judge.untilComplete();
  judge.verdict({ cuts: 0, window: 0 });
  others.verdict({ cuts: 1, window: 64 });
});

/** A server that knows only 3.1.1 refuses 5.0 with a code of 3.1.1. */
function codeFor(connection: { version: Version }, code: number): number {
  return connection.version === 4 && code === 0x84 ? 1 : code;
}

function judgeOf(server: HandServer): Judge {
  const judge = new Judge(
    (topic) => topic,
    () => false,
  );
  server.onMessage = (message) => judge.arrive(message);
  return judge;
}

function uplink(name: string, port: number, protocol: Version): Record<string, unknown> {
  return { name, url: `mqtt://127.0.0.1:${port}`, client_id: name, protocol, forward: [{ match: "s/#", qos: 1 }] };
}

async function statuses(gateway: GatewayProcess): Promise<Map<string, UplinkStatus>> {
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  const { uplinks } = JSON.parse(stdout) as { uplinks: UplinkStatus[] };
  return new Map(uplinks.map((status) => [status.name, status]));
}
