import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceReceiver, type DeviceWriter } from "../../../src/core/device-receiver.ts";

const principal = { name: "serial:meter", clientId: "serial:meter" };
const writer: DeviceWriter = { deliver() {}, prepare: () => true, write() {}, writable: () => true };

function withoutQueue(): { receiver: DeviceReceiver; told: string[] } {
  const told: string[] = [];
  const router = {
    join: () => told.push("join"),
    leave: () => told.push("leave"),
    subscribe: (_receiver: unknown, filter: string, options: number) => told.push(`+${filter} ${options}`) > 0,
    unsubscribe: (_receiver: unknown, filter: string) => told.push(`-${filter}`) > 0,
  };
  const filters = [
    { topic: "a", qos: 2 },
    { topic: "b", qos: 0 },
  ];
  return { receiver: new DeviceReceiver(router, principal, filters, writer, null, 64), told };
}

test("without a queue all filters are granted QoS 0, with No Local", () => {
  const { receiver, told } = withoutQueue();
  receiver.start();
  receiver.close();
  assert.deepEqual(told, ["join", "+a 4", "+b 4", "-a", "-b", "leave"]);
  assert.deepEqual([receiver.durable, receiver.congested()], [false, false]);
});

test("a wire has no QoS 2", () => {
  const { receiver } = withoutQueue();
  assert.deepEqual([receiver.effectiveQos(2, 2), receiver.effectiveQos(0, 2), receiver.effectiveQos(2, 0)], [1, 0, 0]);
});
