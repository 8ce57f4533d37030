// Lines that are unplugged in the middle of writing, and a gateway that is killed there: what was acknowledged to its
// publisher is heard by the device, and asked requests are answered. All lines at once, to have them in little time.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { type LineDevice, PtyDevice, SocatDevice, TcpDevice } from "../support/line-device.ts";
import { MqttCollector, persistent } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";

const UNPLUGGED = 20;
const KILLED_EVERY = 5;
const FRAMES_EACH = 5;
const ANSWER = "R ";

/** A request that nobody answers stays on the wire: only unplugging ends it. */
const request = { timeout: "60s", match: `${ANSWER}*` };

interface Line {
  readonly name: string;
  readonly device: LineDevice;
  /** Of the entry in `write`. */
  readonly write: Record<string, unknown>;
}

function linesIn(folder: string): readonly Line[] {
  const cable = join(folder, "socat");
  mkdirSync(cable);
  const pty = (name: string, answer: string | null) => new PtyDevice(folder, name, answer);
  return [
    { name: "pty-plain", device: pty("plain", null), write: {} },
    { name: "pty-paced", device: pty("paced", null), write: { gap: "3ms" } },
    { name: "pty-asked", device: pty("asked", ANSWER), write: { request } },
    { name: "tcp-plain", device: new TcpDevice(null), write: {} },
    { name: "tcp-paced", device: new TcpDevice(null), write: { gap: "3ms" } },
    { name: "tcp-asked", device: new TcpDevice(ANSWER), write: { request } },
    // What socat takes with it into death is no loss: a request is done when its response is here.
    { name: "socat-asked", device: new SocatDevice(cable, ANSWER), write: { request } },
  ];
}

/** Publishes to all lines, and knows what was acknowledged. */
class Publisher {
  readonly acknowledged = new Map<string, string[]>();
  readonly #lines: readonly Line[];
  #client: MqttCollector | null = null;
  #count = 0;
  /** "name frame" of responses that came. */
  readonly #answered = new Set<string>();

  constructor(lines: readonly Line[]) {
    this.#lines = lines;
    for (const { name } of lines) this.acknowledged.set(name, []);
  }

  async connect(port: number): Promise<void> {
    this.#readAnswers();
    await this.#client?.[Symbol.asyncDispose]();
    this.#client = await MqttCollector.open(port, "answers/#", persistent("asker"));
  }

  #readAnswers(): void {
    for (const { topic, payload, packet } of this.#client?.messages.splice(0) ?? []) {
      assert.equal(packet.properties?.userProperties, undefined, "no word of a failure");
      const frame = packet.properties?.correlationData?.toString() ?? "";
      assert.equal(payload, ANSWER + frame, "each response is that of its request");
      this.#answered.add(`${topic.slice("answers/".length)} ${frame}`);
    }
  }

  isAnswered(name: string, frame: string): boolean {
    this.#readAnswers();
    return this.#answered.has(`${name} ${frame}`);
  }

  /** Some for each line; whoever dies meanwhile, those that are acknowledged count. */
  burst(): void {
    for (let i = 0; i < FRAMES_EACH; i++) {
      const frame = `frame ${this.#count++}`;
      for (const { name } of this.#lines) {
        const properties = { responseTopic: `answers/${name}`, correlationData: Buffer.from(frame) };
        this.#client?.client.publish(`set/${name}`, frame, { qos: 1, properties }, (error) => {
          if (!error) this.acknowledged.get(name)?.push(frame);
        });
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client?.[Symbol.asyncDispose]();
  }
}

/** Frames as the device heard them, each once, without what was cut off. */
function firstHeard(heard: string): string[] {
  return [...new Set(heard.split("\n").filter((line) => /^frame \d+$/.test(line)))];
}

test(`unplugged ${UNPLUGGED} times in the middle of writing and killed now and then, no kind of line loses what was acknowledged`, {
  skip: requirePeer("socat", "python3"),
}, async () => {
  using folder = temporaryFolder();
  await using devices = new AsyncDisposableStack();
  const lines = linesIn(folder.path);
  for (const { device } of lines) {
    devices.use(device);
    await device.plug();
  }
  const publish = "off";
  await using gateway = new GatewayProcess(folder.path, {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    serial: lines.map(({ name, device, write }) => {
      return { name, port: device.port, publish, write: { topic: `set/${name}`, qos: 1, ...write } };
    }),
  });
  const opened = () => gateway.logged("serial-open");
  await gateway.start();
  await using publisher = new Publisher(lines);
  await publisher.connect(gateway.port());
  await eventually("all lines are open", () => opened() === lines.length);

  for (let i = 1; i <= UNPLUGGED; i++) {
    const before = lines.map(({ device }) => device.heard.length);
    publisher.burst();
    await eventually("each device hears something", () =>
      lines.every(({ device }, at) => device.heard.length > (before[at] as number)),
    );
    const openBefore = opened();
    await Promise.all(lines.map(({ device }) => device.unplug()));
    publisher.burst();
    const killed = i % KILLED_EVERY === 0;
    if (killed) {
      await gateway.end("SIGKILL");
      await gateway.start();
      await publisher.connect(gateway.port());
    }
    await Promise.all(lines.map(({ device }) => device.plug()));
    const expected = (killed ? 0 : openBefore) + lines.length;
    await eventually("all lines are open again", () => opened() >= expected);
    if (i % KILLED_EVERY === 2) {
      publisher.burst();
      await gateway.end("SIGKILL");
      await Promise.all(lines.map(({ device }) => device.read()));
      await gateway.start();
      await publisher.connect(gateway.port());
      await eventually("all lines are open after the restart", () => opened() >= lines.length);
    }
  }

  for (const { name, device, write } of lines) {
    const acknowledged = publisher.acknowledged.get(name) ?? [];
    const whole = new Set(acknowledged);
    const heard = () => firstHeard(device.heard).filter((frame) => whole.has(frame));
    assert.ok(acknowledged.length >= UNPLUGGED * FRAMES_EACH, "there was something to lose");
    await eventually(`${name} has heard all`, () => heard().length === whole.size).catch(() => {});
    assert.deepEqual(heard(), acknowledged, `${name}: nothing lost, and in order`);
    if (!("request" in write)) continue;
    const lacking = () => acknowledged.filter((frame) => !publisher.isAnswered(name, frame));
    await eventually(`all requests to ${name} are answered`, () => lacking().length === 0).catch(() => {});
    assert.deepEqual(lacking(), [], `${name}: each request is answered`);
  }
  assert.equal(await gateway.end(), 0);
});
