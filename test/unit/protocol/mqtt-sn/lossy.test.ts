// A device that keeps the rules of 1.2 on a path that loses, repeats and reorders datagrams both ways, and that sleeps now and
// then: QoS 1 comes once at least and QoS 2 once, up and down, in the order of each topic. A seed is a run; time is the test's.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../src/base/random.ts";
import * as codes from "../../../../src/wire/mqtt-sn/codes.ts";
import { decode, MessageView } from "../../../../src/wire/mqtt-sn/decode.ts";
import { connectOf, type Device, LASTING, message, publishLive, SnHub, subscriber, subscribeTo } from "./harness.ts";

const SEEDS = process.env["SLUICE_LONG"] === undefined ? 40 : 2000;
const LONG_SEED = Number(process.env["SLUICE_LONG"] ?? 1);
const MESSAGES = 24;
const LOSS = 0.25;
const AGAIN = 0.1;
const RETRY_STEPS = 10;
const PING_STEPS = 20;
const STEPS_MAX = 5000;
const RETRIES = 4;
const hex16 = (value: number): number[] => [value >> 8, value & 0xff];

type Exchange = { readonly asks: string; readonly isAnswer: (view: MessageView) => boolean; then: () => void };

function kindOf({ asks }: Exchange): number {
  return Number.parseInt(asks.slice(2, 4), 16);
}

/** A client by the text: one exchange at a time, repeated until it is answered. */
class LossyDevice {
  readonly #device: Device;
  readonly #random: () => number;
  readonly #view = new MessageView();
  readonly topics = new Map<number, string>();
  /** "topic payload" of what came, QoS 2 once. */
  readonly got: string[] = [];
  readonly #received = new Set<number>();
  #exchange: Exchange | null = null;
  #waited = 0;
  #quiet = 0;
  #published = 0;
  #msgId = 0;
  asleep = false;

  constructor(device: Device, random: () => number) {
    this.#device = device;
    this.#random = random;
    this.#connect(() => this.#subscribe());
  }

  get isDone(): boolean {
    return this.#published === MESSAGES && this.#exchange === null;
  }

  /** One second. */
  step(): void {
    for (const hex of this.#device.take()) this.#lossy(() => this.#on(Buffer.from(hex, "hex")));
    if (this.#exchange !== null) {
      this.#repeat(this.#exchange);
    } else if (this.asleep && this.#random() < 0.05) {
      this.#connect(() => {});
    } else if (this.asleep) {
      if (++this.#quiet >= PING_STEPS) this.#ask(message(codes.PINGREQ, [], "a"), codes.PINGRESP);
    } else if (this.#random() < 0.1) {
      this.#ask(message(codes.DISCONNECT, hex16(60)), codes.DISCONNECT, () => {
        this.asleep = true;
      });
    } else if (this.#published < MESSAGES && this.#random() < 0.5) {
      this.#publish();
    } else if (++this.#quiet >= PING_STEPS) {
      this.#ask("0216", codes.PINGRESP);
    }
  }

  /** Section 6.13: after so many tries the gateway counts as gone, and it connects again. */
  #repeat(exchange: Exchange): void {
    if (++this.#waited % RETRY_STEPS !== 0) return;
    if (this.#waited > RETRY_STEPS * RETRIES && kindOf(exchange) !== codes.CONNECT) this.#connectAgain(exchange);
    else this.#send(exchange.asks);
  }

  #lossy(act: () => void): void {
    if (this.#random() < LOSS) return;
    act();
    if (this.#random() < AGAIN) act();
  }

  #send(hex: string): void {
    this.#lossy(() => this.#device.send(hex));
  }

  #ask(asks: string, answer: number, then: () => void = () => {}, msgId: number | null = null): void {
    const isAnswer = (view: MessageView): boolean => view.type === answer && (msgId === null || view.msgId === msgId);
    this.#exchange = { asks, isAnswer, then };
    this.#waited = 0;
    this.#quiet = 0;
    this.#send(asks);
  }

  #connect(then: () => void): void {
    this.asleep = false;
    this.#ask(connectOf("a", LASTING), codes.CONNACK, then);
  }

  /** It is not known any more; a message that was under way goes on after CONNACK. */
  #connectAgain(under: Exchange | null): void {
    this.#connect(() => {
      if (under === null || [codes.PINGREQ, codes.DISCONNECT].includes(kindOf(under))) return;
      this.#exchange = under;
      this.#waited = 0;
      this.#send(under.asks);
    });
  }

  #subscribe(): void {
    this.#ask(subscribeTo("d/#", 2, 0xffff), codes.SUBACK, () => {}, 0xffff);
  }

  /** To the short topic name "up", at QoS 1 and 2 in turn. */
  #publish(): void {
    const qos = 1 + (this.#published % 2);
    const msgId = ++this.#msgId;
    const asks = message(
      codes.PUBLISH,
      [(qos << 5) | codes.TOPIC_SHORT, 0x75, 0x70, ...hex16(msgId)],
      `${this.#published}`,
    );
    const done = (): void => void this.#published++;
    if (qos === 1) this.#ask(asks, codes.PUBACK, done, msgId);
    else
      this.#ask(
        asks,
        codes.PUBREC,
        () => this.#ask(message(codes.PUBREL, hex16(msgId)), codes.PUBCOMP, done, msgId),
        msgId,
      );
  }

  #on(bytes: Buffer): void {
    const view = this.#view;
    assert.equal(decode(bytes, 0, bytes.length, view), codes.OK);
    const exchange = this.#exchange;
    if (exchange?.isAnswer(view)) {
      this.#exchange = null;
      exchange.then();
      return;
    }
    const { type, msgId, topicId } = view;
    switch (type) {
      case codes.DISCONNECT:
        if (exchange === null || kindOf(exchange) !== codes.CONNECT) this.#connectAgain(exchange);
        return;
      case codes.REGISTER:
        this.topics.set(topicId, bytes.toString("utf8", view.restAt, view.restEnd));
        this.#send(message(codes.REGACK, [...hex16(topicId), ...hex16(msgId), codes.ACCEPTED]));
        return;
      case codes.PUBLISH:
        this.#onPublish(bytes, view);
        return;
      case codes.PUBREL:
        this.#received.delete(msgId);
        this.#send(message(codes.PUBCOMP, hex16(msgId)));
        return;
      default:
    }
  }

  #onPublish(bytes: Buffer, { topicId, msgId, qos, restAt, restEnd }: MessageView): void {
    const topic = this.topics.get(topicId);
    const ack = (code: number): void => this.#send(message(codes.PUBACK, [...hex16(topicId), ...hex16(msgId), code]));
    if (topic === undefined) {
      ack(codes.REJECTED_INVALID_TOPIC_ID);
      return;
    }
    if (qos < 2 || !this.#received.has(msgId)) this.got.push(`${topic} ${bytes.toString("utf8", restAt, restEnd)}`);
    if (qos === 1) ack(codes.ACCEPTED);
    if (qos !== 2) return;
    this.#received.add(msgId);
    this.#send(message(codes.PUBREC, hex16(msgId)));
  }
}

function assertArrived(got: readonly string[], sent: readonly string[], isQos2: (one: string) => boolean): void {
  const first = [...new Set(got)];
  for (const topic of new Set(sent.map((one) => one.split(" ")[0]))) {
    const ofTopic = (one: string): boolean => one.split(" ")[0] === topic;
    assert.deepEqual(first.filter(ofTopic), sent.filter(ofTopic), "all of them, in order");
  }
  for (const one of first) if (isQos2(one)) assert.equal(got.filter((other) => other === one).length, 1, `${one} once`);
}

function run(seed: number): void {
  const random = seededRandom(seed);
  const hub = new SnHub();
  const mqtt = subscriber(hub, "up", 2);
  const device = new LossyDevice(hub.device(), random);
  const down: string[] = [];
  const up: string[] = [];
  const takeUp = (): void => {
    for (const { type, flags, body } of mqtt.take()) {
      if (type === 6) mqtt.send(Buffer.concat([Buffer.of(0x70, 2), body.subarray(0, 2)]));
      if (type !== 3) continue;
      const qos = (flags >> 1) & 3;
      const at = 4;
      up.push(`up ${body.toString("utf8", at + 2)}`);
      if (qos === 1) mqtt.send(Buffer.concat([Buffer.of(0x40, 2), body.subarray(at, at + 2)]));
      if (qos === 2) mqtt.send(Buffer.concat([Buffer.of(0x50, 2), body.subarray(at, at + 2)]));
    }
  };
  let steps = 0;
  for (; steps < STEPS_MAX; steps++) {
    device.step();
    // What is published before the subscription stands is not for it.
    if (down.length < MESSAGES && hub.registry.sessions().next().value !== undefined && random() < 0.3) {
      const isSubscribed = [...hub.registry.sessions()].some((session) => session.subscriptions.has("d/#"));
      if (isSubscribed) {
        const one = `d/${down.length % 3} ${down.length}`;
        down.push(one);
        publishLive(hub, one.split(" ")[0] as string, one.split(" ")[1] as string, 1 + (down.length % 2));
      }
    }
    if (steps % 10 === 0) mqtt.send(Buffer.of(0xc0, 0));
    hub.settle();
    takeUp();
    hub.advance(1000);
    hub.settle();
    takeUp();
    const all = new Set(device.got).size === MESSAGES && down.length === MESSAGES;
    if (device.isDone && all && new Set(up).size === MESSAGES) break;
  }
  assert.ok(steps < STEPS_MAX, `${device.got.length} of ${down.length} down, ${up.length} up, ${device.isDone}`);
  // What is on its way still must be no second copy.
  for (let i = 0; i < 200; i++) {
    if (i % 10 === 0) mqtt.send(Buffer.of(0xc0, 0));
    device.step();
    hub.settle();
    takeUp();
    hub.advance(1000);
  }
  assertArrived(device.got, down, (one) => Number(one.split(" ")[1]) % 2 === 0);
  assertArrived(
    up,
    Array.from({ length: MESSAGES }, (_, i) => `up ${i}`),
    (one) => Number(one.split(" ")[1]) % 2 === 1,
  );
}

for (let seed = LONG_SEED; seed < LONG_SEED + SEEDS; seed++) {
  test(`a quarter lost each way, a tenth repeated, and sleep (seed ${seed})`, () => run(seed));
}
