/** An MQTT-SN listener on a hub of MQTT conversations, without sockets: datagrams, the store and the clock are the test's. */
import assert from "node:assert/strict";
import type { DatagramHandler, DatagramPort } from "../../../../src/core/ports.ts";
import { type MqttSnOptions, MqttSnServer } from "../../../../src/protocol/mqtt-sn/server.ts";
import { decode, MessageView } from "../../../../src/wire/mqtt-sn/decode.ts";
import { Hub, LIMITS, OPEN_TO_ALL } from "../../../support/mqtt-hub.ts";
import { subscribe } from "../../../support/mqtt-packets.ts";

export class FakePort implements DatagramPort {
  readonly address = "127.0.0.1";
  readonly port = 1884;
  readonly maxPayload = 65_507;
  readonly peersVerified = false;
  handler: DatagramHandler | null = null;
  readonly sent: { to: string; hex: string }[] = [];

  send(bytes: Buffer, from: number, end: number, address: string, port: number): boolean {
    this.sent.push({ to: `${address}:${port}`, hex: bytes.toString("hex", from, end) });
    return true;
  }

  close(): void {}
}

export class SnHub extends Hub {
  readonly datagrams = new FakePort();
  readonly sn: MqttSnServer;

  constructor(
    options: Partial<MqttSnOptions> = {},
    changes: Partial<typeof LIMITS> = {},
    store = undefined as Hub["store"] | undefined,
    rights = OPEN_TO_ALL,
  ) {
    super(undefined, changes, store, rights);
    const { router, registry, store: kept, wheel, counters } = this;
    const { time } = this.server.parts;
    const parts = { router, registry, authority: rights, store: kept, time, wheel, counters };
    this.sn = new MqttSnServer(
      this.datagrams,
      { ...parts, limits: { ...LIMITS, ...changes } },
      {
        ...{
          gatewayId: 7,
          firstTopicId: 1,
          clientsMax: 8,
          rate: null,
          predefined: new Map(),
          advertise: null,
          anonymous: "always",
        },
        ...options,
      },
    );
  }

  device(port = 4000, address?: string): Device {
    return new Device(this, port, address);
  }

  /** A wireless node behind the forwarder at `port`. @param node its id, in hexadecimal */
  node(node: string, port = 4000): Device {
    return new Device(this, port, undefined, node);
  }

  get clientCount(): number {
    return this.sn.clients.count;
  }

  counter(name: string): number {
    return Object.fromEntries(this.counters.entries())[name] as number;
  }
}

/** One address that sends hexadecimal and gets it, or a node behind a forwarder at that address. */
export class Device {
  readonly hub: SnHub;
  readonly port: number;
  readonly address: string;
  /** What wraps its messages; empty: nothing does. */
  readonly #envelope: string;

  constructor(hub: SnHub, port: number, address = "127.0.0.1", node = "") {
    this.hub = hub;
    this.port = port;
    this.address = address;
    this.#envelope = node === "" ? "" : message(0xfe, [0, ...Buffer.from(node, "hex")]);
  }

  send(...messages: string[]): void {
    for (const one of messages) {
      const bytes = Buffer.from(this.#envelope + one.replaceAll(" ", ""), "hex");
      this.hub.datagrams.handler?.onDatagram(bytes, this.address, this.port, null);
    }
  }

  /** What came since the last call; each is a message of 1.2, and for a node in its envelope. */
  take(): string[] {
    const { sent } = this.hub.datagrams;
    const isMine = ({ to, hex }: { to: string; hex: string }): boolean =>
      to === `${this.address}:${this.port}` && hex.startsWith(this.#envelope);
    const mine = sent.filter(isMine).map(({ hex }) => hex.slice(this.#envelope.length));
    sent.splice(0, sent.length, ...sent.filter((one) => !isMine(one)));
    const view = new MessageView();
    for (const hex of mine) {
      const bytes = Buffer.from(hex, "hex");
      if (decode(bytes, 0, bytes.length, view) !== 0) throw new Error(`no message of MQTT-SN: ${hex}`);
    }
    return mine;
  }

  ask(...messages: string[]): string[] {
    this.send(...messages);
    return this.take();
  }
}

export const CLEAN = 0x04;

export function connectOf(clientId: string, flags = CLEAN, duration = 60): string {
  return message(0x04, [flags, 1, duration >> 8, duration & 0xff], clientId);
}

export function subscribeTo(filter: string, qos = 0, msgId = 1): string {
  return message(0x12, [qos << 5, msgId >> 8, msgId & 0xff], filter);
}

export function message(type: number, fields: number[], rest = ""): string {
  const body = Buffer.concat([Buffer.from(fields), Buffer.from(rest)]);
  return Buffer.concat([Buffer.from([body.length + 2, type]), body]).toString("hex");
}

export const CONNACK_OK = "030500";
export const DISCONNECT = "0218";
export const PINGRESP = "0217";
export const LASTING = 0x00;

export function connected(hub: SnHub, clientId = "a", flags = 0x04, port = 4000): Device {
  const device = hub.device(port);
  assert.deepEqual(device.ask(connectOf(clientId, flags)), [CONNACK_OK]);
  return device;
}

/** An MQTT client with a lasting session that has subscribed. */
export function subscriber(hub: SnHub, filter: string, qos: 0 | 1 | 2 = 1) {
  const peer = hub.connect({ version: 4, clientId: "mqtt", clean: false });
  peer.send(subscribe(4, 1, [filter, qos]));
  hub.settle();
  peer.take();
  return peer;
}

/** Topic and payload of what an MQTT client got. */
export function published(peer: ReturnType<typeof subscriber>): string[] {
  return peer
    .take()
    .filter(({ type }) => type === 3)
    .map(({ flags, body }) => {
      const at = 2 + body.readUInt16BE(0);
      return `${body.toString("utf8", 2, at)} ${body.toString("utf8", at + ((flags & 6) === 0 ? 0 : 2))}`;
    });
}

export const publishLive = (hub: SnHub, topic: string, payload: string, qos = 0, retain = false): void => {
  const p = hub.sn.publication;
  p.setParts(topic, Buffer.from(payload), qos, retain);
  hub.router.publish(p, { onStored(): void {} }, 0);
};
