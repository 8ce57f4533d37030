// 6 WebSocket, by hand: the upgrade, the frames, and packets across them. And 4.2 (3.1.1: 7.1): the streams that carry MQTT.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectNet, type Socket } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { eventually } from "../../support/eventually.ts";
import {
  bytes,
  CONNACK,
  connect,
  type Packet,
  PacketReader,
  PINGRESP,
  PUBLISH,
  pingreq,
  publish,
  readPublish,
  SUBACK,
  subscribe,
  type Version,
} from "../../support/mqtt-packets.ts";
import { RawMqtt } from "../../support/raw-mqtt.ts";
import { forVersions, product, unique, untilNow } from "./harness.ts";

const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;

let folder = "";

const sluice = product((path) => {
  folder = path;
  return {
    listeners: [
      { type: "mqtt", bind: "127.0.0.1:0" },
      { type: "ws", bind: "127.0.0.1:0" },
      { type: "mqtt", bind: `unix:${join(path, "mqtt.sock")}` },
    ],
  };
});

/** A WebSocket client of bytes. */
class RawWebSocket {
  readonly socket: Socket;
  /** The answer to the upgrade. */
  head = "";
  /** [opcode, payload] of each frame that came. */
  readonly frames: [number, Buffer][] = [];
  readonly packets: Packet[] = [];
  closed = false;
  #rest: Buffer = Buffer.alloc(0);
  readonly #reader = new PacketReader();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
    });
  }

  /** @param protocols of the header; "" sends none */
  static async upgrade(t: TestContext, protocols: string): Promise<RawWebSocket> {
    const socket = connectNet({ port: sluice.gateway.port("ws"), host: "127.0.0.1", noDelay: true });
    t.after(() => socket.destroy());
    const ws = new RawWebSocket(socket);
    await once(socket, "connect");
    const offer = protocols === "" ? "" : `Sec-WebSocket-Protocol: ${protocols}\r\n`;
    socket.write(
      `GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${offer}\r\n`,
    );
    await eventually("the answer to the upgrade", () => ws.head !== "" || ws.closed);
    return ws;
  }

  /** One masked frame. */
  send(opcode: number, payload: Buffer, fin = true): void {
    const mask = Buffer.from([1, 2, 3, 4]);
    const length =
      payload.length < 126 ? [0x80 | payload.length] : [0x80 | 126, payload.length >> 8, payload.length & 0xff];
    const masked = Buffer.from(payload.map((byte, i) => byte ^ (mask[i % 4] as number)));
    this.socket.write(bytes((fin ? 0x80 : 0) | opcode, length, mask, masked));
  }

  async next(): Promise<Packet> {
    await eventually("a packet", () => this.packets.length > 0 || this.closed);
    const packet = this.packets.shift();
    if (packet === undefined) throw new Error("the connection was closed");
    return packet;
  }

  #take(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    if (this.head === "") {
      const end = this.#rest.indexOf("\r\n\r\n");
      if (end < 0) return;
      this.head = this.#rest.toString("latin1", 0, end);
      this.#rest = this.#rest.subarray(end + 4);
    }
    for (;;) {
      if (this.#rest.length < 2) return;
      const short = (this.#rest[1] as number) & 0x7f;
      const at = short < 126 ? 2 : 4;
      if (this.#rest.length < at) return;
      const length = short < 126 ? short : this.#rest.readUInt16BE(2);
      if (this.#rest.length < at + length) return;
      const opcode = (this.#rest[0] as number) & 0x0f;
      const payload = this.#rest.subarray(at, at + length);
      this.frames.push([opcode, payload]);
      if (opcode === CLOSE) this.send(CLOSE, payload);
      if (opcode === BINARY || opcode === CONTINUATION) this.packets.push(...this.#reader.read(payload));
      this.#rest = this.#rest.subarray(at + length);
    }
  }
}

async function connected(t: TestContext, version: Version): Promise<RawWebSocket> {
  const ws = await RawWebSocket.upgrade(t, "mqtt");
  ws.send(BINARY, connect({ version, clientId: unique("ws") }));
  assert.equal((await ws.next()).type, CONNACK);
  return ws;
}

forVersions(
  { 4: ["6.0.0-1"], 5: ["6.0.0-1"] },
  "packets leave in binary frames, and a text frame closes the connection",
  async (version, t) => {
    const topic = unique("ws");
    const ws = await connected(t, version);
    ws.send(BINARY, subscribe(version, 1, [topic, 0]));
    assert.equal((await ws.next()).type, SUBACK);
    ws.send(BINARY, publish(version, { topic, payload: "x".repeat(1000) }));
    assert.equal((await ws.next()).type, PUBLISH);
    assert.deepEqual(new Set(ws.frames.map(([opcode]) => opcode)), new Set([BINARY]));
    ws.send(TEXT, pingreq());
    await eventually("the connection is closed", () => ws.closed);
    assert.equal(
      ws.packets.some(({ type }) => type === PINGRESP),
      false,
    );
    assert.equal(ws.frames.at(-1)?.[0], CLOSE);
    // Before CONNECT too.
    const first = await RawWebSocket.upgrade(t, "mqtt");
    first.send(TEXT, connect({ version, clientId: unique("ws") }));
    await eventually("the connection is closed", () => first.closed);
    assert.deepEqual(first.packets, []);
  },
);

forVersions(
  { 4: ["6.0.0-2"], 5: ["6.0.0-2"] },
  "packets may be cut into frames anywhere, share frames, and be cut into fragments with a ping between",
  async (version, t) => {
    const topic = unique("ws");
    const packets = bytes(
      connect({ version, clientId: unique("ws") }),
      subscribe(version, 1, [topic, 0]),
      publish(version, { topic, payload: "one" }),
      publish(version, { topic, payload: "two" }),
      pingreq(),
    );
    const inOrder = async (ws: RawWebSocket): Promise<void> => {
      const came: Packet[] = [];
      for (let i = 0; i < 5; i++) came.push(await ws.next());
      assert.deepEqual(
        came.map(({ type }) => type),
        [CONNACK, SUBACK, PUBLISH, PUBLISH, PINGRESP],
      );
      const texts = came.filter(({ type }) => type === PUBLISH).map((packet) => readPublish(version, packet).payload);
      assert.deepEqual(texts, ["one", "two"]);
    };
    const whole = await RawWebSocket.upgrade(t, "mqtt");
    whole.send(BINARY, packets);
    await inOrder(whole);
    const single = await RawWebSocket.upgrade(t, "mqtt");
    for (let at = 0; at < packets.length; at++) single.send(BINARY, packets.subarray(at, at + 1));
    await inOrder(single);
    const fragments = await RawWebSocket.upgrade(t, "mqtt");
    for (let at = 0; at < packets.length; at += 7) {
      fragments.send(at === 0 ? BINARY : CONTINUATION, packets.subarray(at, at + 7), at + 7 >= packets.length);
      fragments.send(PING, Buffer.from("between"));
    }
    await inOrder(fragments);
  },
);

forVersions(
  { 4: ["6.0.0-3", "6.0.0-4"], 5: ["6.0.0-3", "6.0.0-4"] },
  "the subprotocol is mqtt, wherever it stands in the offer; who does not offer it is refused",
  async (version, t) => {
    for (const offer of ["mqtt", "mqttv3.1, mqtt", "mqtt, chat", "chat,mqtt"]) {
      const ws = await RawWebSocket.upgrade(t, offer);
      assert.match(ws.head, /^HTTP\/1\.1 101 /);
      assert.match(ws.head, /^sec-websocket-protocol: mqtt\r?$/im);
      ws.send(BINARY, connect({ version, clientId: unique("ws") }));
      assert.equal((await ws.next()).type, CONNACK);
    }
    for (const offer of ["", "mqttv3.1", "MQTT", "chat"]) {
      const ws = await RawWebSocket.upgrade(t, offer);
      assert.match(ws.head, /^HTTP\/1\.1 400 /);
      await eventually("the connection is closed", () => ws.closed);
    }
  },
);

forVersions(
  { 4: ["7.1.1-1"], 5: ["4.2.0-1"] },
  "TCP and unix sockets are streams: packets cut at each byte and packets in one piece are the same conversation",
  async (version, t) => {
    const path = join(folder, "mqtt.sock");
    for (const where of [{ port: sluice.port, host: "127.0.0.1" }, { path }]) {
      for (const step of [1, 1_000_000]) {
        const socket = connectNet({ ...where, noDelay: true });
        t.after(() => socket.destroy());
        await once(socket, "connect");
        const raw = new RawMqtt(socket);
        const topic = unique("stream");
        const packets = bytes(
          connect({ version, clientId: unique("stream") }),
          subscribe(version, 1, [topic, 0]),
          ...Array.from({ length: 20 }, (_, i) => publish(version, { topic, payload: `${i}` })),
        );
        for (let at = 0; at < packets.length; at += step) raw.send(packets.subarray(at, at + step));
        assert.equal((await raw.next()).type, CONNACK);
        assert.equal((await raw.next()).type, SUBACK);
        const came = (await untilNow(raw)).map((packet) => readPublish(version, packet).payload);
        assert.deepEqual(
          came,
          Array.from({ length: 20 }, (_, i) => `${i}`),
        );
      }
    }
  },
);
