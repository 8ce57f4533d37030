import assert from "node:assert/strict";
import {
  type Packet,
  PINGREQ,
  PINGRESP,
  PUBLISH,
  type Publish,
  packet,
  properties,
  readPublish,
  SUBACK,
  SUBSCRIBE,
  u16,
  type Version,
} from "../../support/mqtt-packets.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import { RawServer } from "./raw-server.ts";

/** An uplink's other end. Each test that cuts the connection has an uplink of its own: waits between tries get longer. */
export class Cloud {
  readonly name: string;
  readonly version: Version;
  readonly keepAliveSeconds: number;
  readonly server = new RawServer();
  /** Every packet that the uplink sent but PINGREQ. */
  readonly seen: Packet[] = [];
  /** When it sent PINGREQ. */
  readonly pings: { afterMs: number; packet: Packet }[] = [];
  #link: RawMqtt | null = null;

  constructor(name: string, version: Version, keepAliveSeconds = 60) {
    this.keepAliveSeconds = keepAliveSeconds;
    this.name = `${name}-${version}`;
    this.version = version;
  }

  get config(): Record<string, unknown> {
    return {
      name: this.name,
      url: `mqtt://127.0.0.1:${this.server.port}`,
      protocol: this.version,
      client_id: `gateway-${this.version}`,
      keepalive: `${this.keepAliveSeconds}s`,
      forward: [
        { match: `${this.name}/1/#`, qos: 1 },
        { match: `${this.name}/2/#`, qos: 2 },
      ],
      receive: [
        { match: "cmd/1/#", qos: 1 },
        { match: "cmd/2/#", qos: 2 },
      ],
    };
  }

  /** Its connection now. */
  async link(): Promise<RawMqtt> {
    if (this.#link === null) await this.#accept(false);
    return this.#link as RawMqtt;
  }

  /** Cuts the connection and waits for the next, whose CONNACK says whether the server still has the session. */
  async reconnected(sessionPresent: boolean): Promise<RawMqtt> {
    this.#link?.socket.destroy();
    await this.#accept(sessionPresent);
    return this.#link as RawMqtt;
  }

  async next(): Promise<Packet> {
    const packet = await (await this.link()).next();
    this.seen.push(packet);
    return packet;
  }

  async nextMessages(count: number): Promise<Publish[]> {
    const out: Publish[] = [];
    while (out.length < count) {
      const packet = await this.next();
      assert.equal(packet.type, PUBLISH);
      out.push(readPublish(this.version, packet));
    }
    return out;
  }

  async #accept(sessionPresent: boolean): Promise<void> {
    const { raw, connect } = await this.server.connected(this.version, sessionPresent);
    this.#link = raw;
    this.seen.push(connect);
    let lastMs = performance.now();
    raw.socket.on("data", () => {
      const now = performance.now();
      const at = raw.packets.findIndex(({ type }) => type === PINGREQ);
      if (at >= 0) {
        for (const ping of raw.packets.splice(at, 1)) this.pings.push({ afterMs: now - lastMs, packet: ping });
        raw.send(packet(PINGRESP, 0));
      }
      lastMs = now;
    });
    if (sessionPresent) return;
    const subscribed = await this.next();
    assert.equal(subscribed.type, SUBSCRIBE);
    raw.send(packet(SUBACK, 0, u16(subscribed.body.readUInt16BE(0)), properties(this.version), 1, 2));
  }
}
