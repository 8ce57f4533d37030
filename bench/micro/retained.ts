/** Which of 10,000 retained values a new subscription gets: the index alone, the values are the store's. */
import { Counters } from "../../src/base/counters.ts";
import { Message } from "../../src/core/message.ts";
import { Retained } from "../../src/core/retained.ts";
import { clockOf } from "../../test/support/clock-of.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { type MicroCase, sink } from "./case.ts";

const DEVICES = 2_000;
const VALUES = ["state", "temperature", "humidity", "voltage", "firmware"];
const LIMITS = { retainedMessages: 20_000, retainedBytes: 16 * 2 ** 20, retainedPayloadBytes: 1024 };

function match(filter: string): MicroCase {
  const retained = new Retained(
    new MemoryStore(),
    clockOf(() => 1_000),
    LIMITS,
    new Counters(),
  );
  for (let i = 0; i < DEVICES; i++) {
    for (const value of VALUES) {
      const topic = Buffer.from(`site/${i % 10}/device-${i}/${value}`);
      const bytes = Buffer.concat([topic, Buffer.from("21.5")]);
      retained.put(new Message(bytes, topic.length, topic.length, 0, true, 1_000, 0, -1));
    }
  }
  let found = 0;
  for (const topic of retained.match(filter)) found += topic === null ? 0 : 1;
  return {
    name: `core/retained: match ${filter}, ${found} of ${retained.count}`,
    run: (times) => {
      for (let i = 0; i < times; i++) for (const topic of retained.match(filter)) sink.value += topic?.length ?? 0;
    },
  };
}

export const retainedCases: readonly (() => MicroCase)[] = [
  () => match("site/7/device-77/state"),
  () => match("site/7/device-77/#"),
  () => match("+/+/device-77/+"),
];
