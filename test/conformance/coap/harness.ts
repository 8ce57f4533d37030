/** What the tests of a file share: one running product, and endpoints whose every message is held to `sent-rules.ts`. */
import assert from "node:assert/strict";
import { after, before, type TestContext } from "node:test";
import { eventually } from "../../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../../support/gateway-process.ts";
import { MqttCollector, persistent } from "../../support/mqtt-collector.ts";
import { blockOf, blockValue, type Fields, type Message, Option, type OptionField, PUT, uri } from "./bytes.ts";
import { HandEndpoint } from "./hand-endpoint.ts";
import { complaintsAbout } from "./sent-rules.ts";

/** Requests a second that no test reaches: most of them ask faster than a device may. */
export const RATE = 1_000_000;
export const LISTENERS = [
  { type: "mqtt", bind: "127.0.0.1:0" },
  { type: "coap", bind: "127.0.0.1:0", rate: RATE },
];

type Config = Record<string, unknown>;

export class Product {
  #gateway: GatewayProcess | null = null;

  get gateway(): GatewayProcess {
    if (this.#gateway === null) throw new Error("not started yet: use the product inside a test");
    return this.#gateway;
  }

  set gateway(started: GatewayProcess) {
    this.#gateway = started;
  }

  get port(): number {
    return this.gateway.port("coap");
  }

  /** An endpoint of the test. It is closed at the end of the test. */
  async open(t: TestContext, port = this.port, host = "127.0.0.1"): Promise<HandEndpoint> {
    const raw = await HandEndpoint.open(port, host);
    raw.check = holdToRules;
    t.after(() => raw[Symbol.dispose]());
    return raw;
  }

  /** What MQTT subscribers get. */
  async subscriber(t: TestContext, filter: string): Promise<MqttCollector> {
    const collector = await MqttCollector.open(this.gateway.port(), filter);
    t.after(() => collector[Symbol.asyncDispose]());
    return collector;
  }

  /** From now on, what comes to `filter` at QoS 1 has to be stored before it is acknowledged. */
  async durableReceiver(filter: string): Promise<void> {
    await using session = await MqttCollector.open(this.gateway.port(), filter, persistent(unique("durable")));
    assert.equal(session.messages.length, 0);
  }

  /** Publishes a retained value over MQTT. */
  async retain(topic: string, payload: string | Buffer, contentType?: string): Promise<void> {
    await using publisher = await MqttCollector.open(this.gateway.port(), "nothing");
    const properties = contentType === undefined ? {} : { properties: { contentType } };
    await publisher.client.publishAsync(topic, payload, { qos: 1, retain: true, ...properties });
  }
}

export function holdToRules(read: Message): void {
  const complaints = complaintsAbout(read);
  if (complaints.length > 0) throw new Error(complaints.join("; "));
}

/**
 * Starts the product before the file's tests and ends it after them; ending by SIGTERM shows that nothing broke it.
 * @param config what differs from an MQTT and a CoAP listener; a function gets the product's folder, to put files there
 * @param env    what is added to the product's environment
 */
export function product(
  config: Config | ((folder: string) => Config | Promise<Config>) = {},
  env: (folder: string) => NodeJS.ProcessEnv = () => ({}),
): Product {
  const shared = new Product();
  const folder = temporaryFolder();
  before(async () => {
    const own = typeof config === "function" ? await config(folder.path) : config;
    const all = { listeners: LISTENERS, log: { level: "warn" }, ...own };
    const gateway = new GatewayProcess(folder.path, all, env(folder.path));
    shared.gateway = gateway;
    await gateway.start();
  });
  after(async () => {
    const ended = await shared.gateway.end();
    await shared.gateway[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
    assert.equal(ended, 0, shared.gateway.stderr);
  });
  return shared;
}

let used = 0;

/** A topic or name that no other test of this process uses. */
export function unique(word: string): string {
  used++;
  return `${word}-${used}`;
}

/** A GET of `path`, and what else it says. */
export function get(path: string, ...options: OptionField[]): Fields {
  return { options: [...uri(path), ...options] };
}

/** A PUT of `payload`. */
export function put(path: string, payload: string | Uint8Array, ...options: OptionField[]): Fields {
  return { code: PUT, options: [...uri(path), ...options], payload };
}

/** Asks for a value block by block, from the first on (RFC 7959 section 2.4). @returns its messages */
export async function readBlocks(raw: HandEndpoint, path: string, szx?: number, more: Fields = {}): Promise<Message[]> {
  const first = szx === undefined ? [] : [[Option.Block2, blockValue(0, false, szx)] as const];
  const ask = (...options: OptionField[]) =>
    raw.ask({ ...more, options: [...uri(path), ...(more.options ?? []), ...options] });
  const messages = [await ask(...first)];
  for (;;) {
    const last = messages.at(-1)!;
    const block = blockOf(last, Option.Block2);
    if (block === undefined || !block.more) return messages;
    assert.ok(block.num < 10_000, "an end");
    const next = await ask([Option.Block2, blockValue(block.num + 1, false, block.szx)]);
    assert.equal(next.code, last.code);
    messages.push(next);
  }
}

/** The value in them. */
export function bodyOf(messages: readonly Message[]): string {
  return Buffer.concat(messages.map(({ payload }) => payload)).toString();
}

/** The whole of a representation, in however many blocks it comes. */
export async function read(raw: HandEndpoint, path: string, ...options: OptionField[]): Promise<string> {
  const messages = await readBlocks(raw, path, undefined, { options });
  assert.equal(messages[0]?.code, "2.05");
  return bodyOf(messages);
}

/** Waits until a GET of the topic answers so. */
export async function untilRead(raw: HandEndpoint, topic: string, expected: string): Promise<void> {
  await eventually(`${topic} answers ${expected}`, async () => {
    const answer = await raw.ask(get(`/ps/${topic}`));
    return answer.code === expected || answer.payload.toString() === expected;
  });
}
