/**
 * A rule that gathers what one of the publishers sends, its priority class, and a cloud that is there now and then. A
 * message is a line of a batch, or, where it is no number, one of its own.
 */
import { Counters } from "../../../src/base/counters.ts";
import type { UplinkConfig } from "../../../src/config/uplinks.ts";
import { DeliveryQueue } from "../../../src/core/delivery-queue.ts";
import { LatestIndex } from "../../../src/core/latest-index.ts";
import type { Message } from "../../../src/core/message.ts";
import { DELIVERY_REMOTE, deliveryOptions } from "../../../src/core/receiver.ts";
import { Aggregation } from "../../../src/uplink/aggregate/aggregation.ts";
import { Place } from "../../../src/uplink/aggregate/place.ts";
import { AGGREGATE, receiverName } from "../../../src/uplink/aggregate/rules.ts";
import type { Core } from "./core.ts";
import { GATHERED } from "./habits.ts";

const LIMITS = {
  messages: 100_000,
  bytes: 1 << 28,
  onlineMessages: 100_000,
  onlineBytes: 1 << 28,
  maxAgeMs: Number.POSITIVE_INFINITY,
  whenFull: "refuse" as const,
  windowBytes: 64 * 1024,
};
const UPLINK = "cloud";
const RULE = {
  match: `m/${GATHERED}/+`,
  to: "{topic}",
  qos: 1,
  offline: "store",
  retain: "keep",
  priority: 0,
  expiryMs: null,
  batch: { maxMessages: 4, maxBytes: 16_384, maxDelayMs: 100, format: "lines", compress: "none" },
  reduce: null,
  onChange: null,
} as const;

function classOf({ queueHost, store }: Core): DeliveryQueue {
  const queue = new DeliveryQueue(queueHost, `uplink:${UPLINK}`, store.createReceiver("uplink", UPLINK), LIMITS);
  store.register(queue);
  return queue;
}

export class Gatherer {
  readonly #queue: DeliveryQueue;
  readonly #say: (line: string) => void;

  constructor(core: Core, say: (line: string) => void) {
    const { queueHost: host, store, router, wheel } = core;
    this.#say = say;
    const queue = classOf(core);
    this.#queue = queue;
    const door = {
      queue,
      enter(message: Message, qos: number, retain: boolean): number {
        const options = deliveryOptions(qos, retain) | DELIVERY_REMOTE;
        message.addReceiver(queue.id, options);
        store.append(message);
        queue.enqueue(message, options, null);
        return 0;
      },
    };
    const spool = { maxBytes: 1 << 20, maxMessages: 1e6, maxAgeMs: 1e9, whenFull: "refuse", priorities: [] };
    const config = { name: UPLINK, clientId: "gw", forward: [RULE], spool };
    const doors = { slot: -1, sights: { mark: null, looped: { value: 0 } }, classOf: () => door };
    const counters = new Counters();
    const memoryLimitBytes = 16 * 2 ** 20;
    const parts = { host, router, wheel, isClockSet: () => true, cbor: null, counters, node: "gw", memoryLimitBytes };
    new Aggregation(config as unknown as UplinkConfig, doors, parts);
  }

  /** The cloud is there, or goes away; it acknowledges what it gets in the next turn. */
  meet(there: boolean): void {
    const queue = this.#queue;
    if (!there || queue.online) {
      queue.detach();
      return;
    }
    const outlet = {
      parts: () => 1,
      partOptions: () => 1,
      sendPublish: ({ payload }: Message, _part: number, _options: number, _ids: unknown, packetId: number): void => {
        for (const k of numbersOf(payload)) this.#say(`cloud ${GATHERED} ${k}`);
        setImmediate(() => {
          if (queue.online) queue.onPuback(packetId);
        });
      },
      sendPubrel(): void {},
      writable: () => true,
    };
    queue.attach(outlet, 8, true);
  }
}

/** Messages that the store has for the rule or its class, each as often as it would go out. Before anything is read. */
export function gatheredIn(core: Core): number[] {
  const { store } = core;
  const numbers: number[] = [];
  const read = (id: number, from: number, needs: (message: Message) => boolean): void => {
    const onBacklog = (message: Message): boolean => {
      if (needs(message)) numbers.push(...numbersOf(message.payload));
      return true;
    };
    for (let at = from; at <= store.lastSeq; ) at = store.read(id, at, 1 << 20, { onBacklog });
  };
  const record = store.loadReceiver(AGGREGATE, receiverName(UPLINK, RULE, 0));
  if (record !== null && record.count > 0) {
    const place = new Place(record);
    read(record.id, record.headSeq, (m) => !place.isDone(LatestIndex.keyOf(m.bytes, m.topicEnd), m.seq));
  }
  const queue = classOf(core);
  if (queue.count > 0) read(queue.id, queue.headSeq, ({ seq }) => queue.needs(seq));
  return numbers;
}

function numbersOf(payload: Buffer): number[] {
  const lines = payload.toString().split("\n");
  return lines.filter((line) => line !== "").map((line) => Number.parseInt(line, 10));
}
