/**
 * How clients find the gateway: ADVERTISE to a multicast group, GWINFO to whoever asks.
 *
 * @see MQTT-SN 1.2 sections 5.4.1 to 5.4.3 and 6.1
 */
import { type Expirable, Timer } from "../../base/timer-wheel.ts";
import { TokenBucket } from "../../base/token-bucket.ts";
import { OK, SEARCHGW } from "../../wire/mqtt-sn/codes.ts";
import { decode, MessageView } from "../../wire/mqtt-sn/decode.ts";
import { writeAdvertise, writeGwinfo } from "../../wire/mqtt-sn/encode.ts";
import { GWINFOS_PER_SECOND } from "./limits.ts";
import { keyOf, type Peer } from "./peer.ts";
import type { MqttSnServer } from "./server.ts";

/** All who are in the group, on all interfaces. */
export interface Group {
  /** Sends `bytes[from..end)`, over so many routers at most and one. */
  send(bytes: Buffer, from: number, end: number, hops: number): void;
}

export interface AdvertiseOptions {
  readonly intervalMs: number;
  /** As far as ADVERTISE goes, and GWINFO at most. */
  readonly hops: number;
}

export class Discovery implements Expirable {
  readonly #server: MqttSnServer;
  readonly #advertising = new Timer(this, 0);
  readonly #answers: TokenBucket;
  readonly #view = new MessageView();
  #group: Group | null = null;

  constructor(server: MqttSnServer) {
    this.#server = server;
    this.#answers = new TokenBucket(GWINFOS_PER_SECOND, GWINFOS_PER_SECOND, server.parts.time);
  }

  /** From now on it says that it is there. */
  open(group: Group): void {
    this.#group = group;
    this.onTimer();
  }

  close(): void {
    this.#server.parts.wheel.cancel(this.#advertising);
    this.#group = null;
  }

  /** SEARCHGW to the listener's own address: who asks is answered. @param radius as it asks, for a forwarder */
  onSearch(peer: Peer, radius: number): void {
    this.#server.sendTo(peer, this.#writeGwinfo(), radius);
  }

  /** What comes to the group: nothing but SEARCHGW is heard, and the answer is for all, as far as the question went. */
  readonly searches = {
    onDatagram: (bytes: Buffer, address: string, port: number): void => {
      const server = this.#server;
      if (decode(bytes, 0, bytes.length, this.#view) !== OK) {
        server.malformed.value++;
        return;
      }
      const { type, radius } = this.#view;
      // A flood asks in vain: its answers would go to everybody.
      if (type !== SEARCHGW || !this.#answers.take()) return;
      const { advertise } = server.options;
      const hops = advertise?.hops ?? 1;
      this.#group?.send(server.room(8), 0, this.#writeGwinfo(), radius === 0 ? hops : Math.min(radius, hops));
      server.sendTo({ key: keyOf(address, port), address, port, nodeId: null }, this.#writeGwinfo());
    },
  };

  /** ADVERTISE is due. */
  onTimer(): void {
    const server = this.#server;
    const { advertise, gatewayId } = server.options;
    if (advertise === null || this.#group === null) return;
    const { intervalMs, hops } = advertise;
    const end = writeAdvertise(server.room(8), 0, gatewayId, Math.ceil(intervalMs / 1000));
    this.#group.send(server.room(8), 0, end, hops);
    server.parts.wheel.schedule(this.#advertising, intervalMs);
  }

  #writeGwinfo(): number {
    return writeGwinfo(this.#server.room(8), 0, this.#server.options.gatewayId, NO_ADDRESS);
  }
}

/** Of a gateway that answers for itself: its address is the datagram's. */
const NO_ADDRESS: Buffer = Buffer.alloc(0);
