import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import type { DatagramPort } from "../../../src/core/ports.ts";
import { listenUdp, UdpPort } from "../../../src/transport/udp.ts";
import { bench } from "./fixture.ts";

async function opened(t: TestContext, host = "127.0.0.1", port = 0) {
  const made = bench(t);
  const udp = await listenUdp({ transport: made.transport, index: 4, type: "coap", host, port });
  made.listeners.push(udp.listener);
  return { ...made, udp };
}

async function peer(t: TestContext, type: "udp4" | "udp6" = "udp4", address = "127.0.0.1") {
  const socket = createSocket(type);
  t.after(() => socket.close());
  socket.bind(0, address);
  await once(socket, "listening");
  return socket;
}

function datagram(
  port: DatagramPort,
): Promise<{ text: string; address: string; port: number; identity: string | null }> {
  return new Promise((resolve) => {
    port.handler = {
      onDatagram: (bytes, address, from, identity) => resolve({ text: String(bytes), address, port: from, identity }),
    };
  });
}

test("datagrams go both ways, and what is sent is copied", async (t) => {
  const { udp, counters } = await opened(t);
  const port: DatagramPort = udp;
  assert.equal(port.address, "127.0.0.1");
  assert.equal(udp.listener.address, `127.0.0.1:${port.port}`);
  const device = await peer(t);
  const arrived = datagram(port);
  device.send("hello", port.port, "127.0.0.1");
  assert.deepEqual(await arrived, { text: "hello", address: "127.0.0.1", port: device.address().port, identity: null });
  const bytes = Buffer.from("--answer--");
  assert.equal(port.send(bytes, 2, 8, "127.0.0.1", device.address().port), true);
  bytes.fill(0);
  assert.equal(String((await once(device, "message"))[0]), "answer");
  assert.equal(counters.get("transport.datagrams_received"), 1);
  assert.equal(counters.get("transport.datagrams_sent"), 1);
});

test("an IPv4 peer of a dual-stack port has its plain address, both ways", async (t) => {
  const { udp } = await opened(t, "::");
  const device = await peer(t);
  const arrived = datagram(udp);
  device.send("hello", udp.port, "127.0.0.1");
  const { address, port } = await arrived;
  assert.equal(address, "127.0.0.1");
  udp.send(Buffer.from("answer"), 0, 6, address, port);
  assert.equal(String((await once(device, "message"))[0]), "answer");
});

test("a port in use names the listener; a closed port sends nothing", async (t) => {
  const { udp, counters } = await opened(t);
  await assert.rejects(opened(t, "127.0.0.1", udp.port), {
    name: "ListenerError",
    message: `listener 4 (coap 127.0.0.1:${udp.port}): address in use`,
  });
  udp.close();
  udp.close();
  assert.equal(udp.send(Buffer.from("x"), 0, 1, "127.0.0.1", 5683), false);
  assert.equal(counters.get("transport.datagrams_dropped"), 1);
});

test("what waits for the kernel is not written over by what is sent after it", (t) => {
  const { transport } = bench(t);
  const sent: Buffer[] = [];
  let queued = 0;
  // As node does when the kernel takes no more: the bytes that were given are sent later.
  const socket = {
    address: () => ({ address: "127.0.0.1", port: 5683, family: "IPv4" }),
    on() {},
    getSendQueueSize: () => queued,
    send: (bytes: Buffer) => void sent.push(bytes),
    close() {},
  } as unknown as Socket;
  const port = new UdpPort(socket, false, "coap", "a listener", transport);
  const send = (text: string) => port.send(Buffer.from(text), 0, text.length, "127.0.0.1", 1);
  send("first");
  assert.deepEqual(sent.map(String), ["first"]);
  queued = 5;
  send("second");
  send("third");
  queued = 0;
  send("fourth");
  send("fifth");
  const [, second, third] = sent;
  assert.deepEqual([second, third].map(String), ["second", "third"]);
  queued = 300 * 1024;
  send("sixth");
  assert.equal(send("seventh"), false);
  assert.deepEqual(String(sent.at(-1)), "sixth");
});
