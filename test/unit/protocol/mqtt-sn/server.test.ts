import assert from "node:assert/strict";
import { test } from "node:test";
import { CONNACK_OK, connectOf, DISCONNECT, message, SnHub, subscribeTo } from "./harness.ts";

test("[SN12-5.4.21-3] who is not connected is told so when it asks, and not when it answers", () => {
  const hub = new SnHub();
  const device = hub.device();
  for (const asks of [message(0x0c, [0x20, 0, 1, 0, 1], "x"), subscribeTo("a"), "0216", "04100001"])
    assert.deepEqual(device.ask(asks), [DISCONNECT]);
  assert.deepEqual(device.ask("0218", "0217", "070d0001000100", "04150001", "020503", "030205"), []);
});

test("one address may send so many messages a second, and the others are served", () => {
  const hub = new SnHub({ rate: 20 });
  const [flood, other] = [hub.device(4000, "10.0.0.1"), hub.device(4000, "10.0.0.2")];
  for (let i = 0; i < 50; i++) flood.send("0216");
  assert.equal(flood.take().length, 20);
  assert.equal(hub.counter("mqtt_sn.too_fast"), 30);
  assert.deepEqual(other.ask(connectOf("b")), [CONNACK_OK]);
  hub.advance(500);
  for (let i = 0; i < 50; i++) flood.send("0216");
  assert.equal(flood.take().length, 10);
});

test("a CONNECT counts as ten", () => {
  const hub = new SnHub({ rate: 22, clientsMax: 64 });
  const flood = [...Array(5).keys()].map((i) => hub.device(4000 + i, "10.0.0.1"));
  const answers = flood.flatMap((device, i) => device.ask(connectOf(`c${i}`)));
  assert.deepEqual(answers, [CONNACK_OK, CONNACK_OK]);
});

test("who is not connected gets no more bytes than it sent", () => {
  const hub = new SnHub();
  const device = hub.device();
  for (const question of ["030100", connectOf("a", 0x0c), connectOf("b"), "0216", "04100001", subscribeTo("#")]) {
    const answers = device.ask(question).join("");
    assert.ok(answers.length <= question.length, `${question}: ${answers}`);
    device.ask(DISCONNECT);
    hub.datagrams.sent.length = 0;
  }
});

test("no datagram makes it throw, whoever sends it", () => {
  const hub = new SnHub({ predefined: new Map([[5, "pre/defined"]]) });
  let seed = 7;
  const next = (): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return seed >>> 16;
  };
  for (let run = 0; run < 20_000; run++) {
    const device = hub.device(4000 + (next() % 12));
    const bytes = Buffer.alloc(2 + (next() % 12));
    for (let i = 2; i < bytes.length; i++) bytes[i] = next() % 4 === 0 ? next() : next() % 8;
    bytes[0] = bytes.length;
    bytes[1] = next() % 0x1e;
    if (run % 16 === 0) device.send(connectOf("abc"[next() % 3] as string, next() % 16));
    else device.send(bytes.toString("hex"));
    if (run % 64 === 0) hub.settle();
    if (run % 256 === 0) hub.advance(next() % 12_000);
    if (run % 1024 === 0) hub.datagrams.sent.length = 0;
  }
  assert.ok(hub.clientCount <= 8);
  for (let i = 0; i < 200; i++) hub.advance(1_000_000);
  assert.deepEqual([hub.clientCount, hub.sn.held.used, hub.sn.names.used], [0, 0, 0]);
});
