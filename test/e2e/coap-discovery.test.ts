// Discovery: what a listener offers, asked for by one who knows its address, and by one who asks all CoAP nodes.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { libcoap } from "../support/coap-peers.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { Namespace } from "../support/namespace.ts";
import { peerPath, requirePeer, requireRoot } from "../support/peers.ts";

/** libcoap's client on the other machine of a cable; it would wait for more answers to a multicast, so it is ended. */
class FarClient {
  readonly uri: string;
  text = "";
  readonly #child: ChildProcess;

  constructor(far: Namespace, uri: string, ...args: string[]) {
    this.uri = uri;
    const [program = "", ...words] = [
      ...far.command,
      peerPath("coap-client"),
      "-v",
      "6",
      "-B",
      "20",
      "-N",
      ...args,
      uri,
    ];
    this.#child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (bytes: Buffer) => {
        this.text += bytes;
      });
    }
  }

  /** Payloads of the 2.05 that came, one after another. */
  get content(): string {
    return [...this.text.matchAll(/ c:2\.05 .*? :: '(.*)'$/gm)].map(([, payload]) => payload).join("");
  }

  /** All that it printed, which it keeps to itself until it ends. */
  async end(): Promise<string> {
    const closed = once(this.#child, "close");
    this.#child.kill("SIGINT");
    await closed;
    return this.text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.end();
  }
}

/** A request, and nothing else. */
const UNANSWERED = /^v:1 t:NON c:(GET|PUT)[^\n]*\n$/;
const LAST = /<\/health>;rt="health";ct=0$/;

async function listed(client: FarClient): Promise<void> {
  try {
    await eventually("the list of the resources", () => LAST.test(client.content));
  } catch (error) {
    throw new Error(`${(error as Error).message} of ${client.uri}; libcoap said:\n${await client.end()}`);
  }
}

test("libcoap: /.well-known/core, filtered by rt, href and ct; a filter that nothing meets", {
  skip: requirePeer("coap-client"),
}, async () => {
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(folder.path, { listeners: [{ type: "coap", bind: "127.0.0.1:0" }] });
  await gateway.start();
  const hrefs = async (query: string): Promise<string[]> => {
    const output = await libcoap(gateway, `/.well-known/core${query}`);
    assert.match(output, /c:2\.05 .*Content-Format:application\/link-format/);
    const content = [...output.matchAll(/ c:2\.05 .*? :: '(.*)'$/gm)].map(([, payload]) => payload).join("");
    return [...content.matchAll(/<([^>]*)>/g)].map((match) => match[1] as string);
  };
  assert.deepEqual(await hrefs(""), ["/ps", "/mqtt/publish", "/mqtt/connection", "/health"]);
  assert.deepEqual(await hrefs("?rt=core.ps"), ["/ps"]);
  assert.deepEqual(await hrefs("?href=/mqtt/*"), ["/mqtt/publish", "/mqtt/connection"]);
  assert.deepEqual(await hrefs("?ct=40"), ["/ps"]);
  assert.deepEqual(await hrefs("?rt=nothing"), []);
});

test("another machine finds the gateway by All-CoAP-Nodes, over IPv4 and IPv6, and changes nothing so", {
  skip: requirePeer("coap-client", "ip") || requireRoot(),
}, async () => {
  using far = new Namespace("c");
  far.addIpv6();
  await eventually("the cable is plugged in", () => far.isReady());
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(folder.path, {
    listeners: [
      { type: "coap", bind: `${far.ownAddress}:0`, multicast: true, anonymous: "always" },
      { type: "coap", bind: `[${far.ownIpv6}]:0`, multicast: true, anonymous: "always" },
      { type: "coap", bind: `${far.otherAddress}:0`, anonymous: "always" },
    ],
  });
  await gateway.start();
  const [v4, v6, silent] = [0, 1, 2].map((nth) => gateway.port("coap", nth));
  const core = "/.well-known/core";
  await using byV4 = new FarClient(far, `coap://224.0.1.187:${v4}${core}`);
  await using bySite = new FarClient(far, `coap://[ff05::fd]:${v6}${core}`);
  await using byLink = new FarClient(far, `coap://[ff02::fd]:${v6}${core}`);
  await using filtered = new FarClient(far, `coap://224.0.1.187:${v4}${core}?rt=core.ps`);
  // None of these is answered; by the time the others are, they were heard.
  await using unmet = new FarClient(far, `coap://224.0.1.187:${v4}${core}?rt=nothing`);
  await using put = new FarClient(far, `coap://224.0.1.187:${v4}/ps/a?retain=true`, "-m", "put", "-e", "x");
  await using other = new FarClient(far, `coap://224.0.1.187:${silent}/health`);
  for (const client of [byV4, bySite, byLink]) {
    await listed(client);
    assert.match(client.content, /^<\/ps>;rt="core\.ps"/);
  }
  await eventually("the list of what has rt=core.ps", () => filtered.content.includes("</ps>"));
  for (const client of [unmet, put, other]) assert.match(await client.end(), UNANSWERED);
  const door = { host: far.ownAddress, port: v4 as number };
  assert.match(await libcoap(door, "/ps/a"), /4\.04/, "the PUT to everybody has changed nothing");
  assert.match(await libcoap(door, "/health"), /c:2\.05/);
});

test("a gateway at [::] and the default port is found by its own machine, and a PUT to all is not taken for one to it", {
  skip: requirePeer("coap-client", "ip") || requireRoot(),
}, async () => {
  using far = new Namespace("d");
  far.addIpv6();
  await eventually("the cable is plugged in", () => far.isReady());
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(
    folder.path,
    { listeners: [{ type: "coap", bind: "[::]:5683", multicast: true, anonymous: "always" }] },
    {},
    [...far.command, ...GatewayProcess.command],
  );
  await gateway.start();
  await using v4 = new FarClient(far, "coap://224.0.1.187/.well-known/core");
  await using v6 = new FarClient(far, "coap://[ff02::fd]/.well-known/core");
  await using put = new FarClient(far, "coap://224.0.1.187/ps/a?retain=true", "-m", "put", "-e", "x");
  for (const client of [v4, v6]) await listed(client);
  assert.match(await put.end(), UNANSWERED);
  await using get = new FarClient(far, `coap://${far.address}/ps/a`);
  await eventually("an answer", () => get.text.includes("4.04"));
});
