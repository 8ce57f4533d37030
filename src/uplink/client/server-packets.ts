/**
 * What a server sends once it has accepted us: decodes each packet and hands it on. The views are filled and read
 * within one packet.
 */
import { AckView, decodeAck } from "../../wire/mqtt/ack.ts";
import {
  DISCONNECT,
  MQTT_5,
  OK,
  PINGRESP,
  PROTOCOL_ERROR,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  SUBACK,
  TOPIC_ALIAS_INVALID,
  UNSUBACK,
} from "../../wire/mqtt/codes.ts";
import { DisconnectView, decodeDisconnect } from "../../wire/mqtt/disconnect.ts";
import { decodePing } from "../../wire/mqtt/ping.ts";
import { decodePublish, PublishView } from "../../wire/mqtt/publish.ts";
import { decodeSuback, SubackView } from "../../wire/mqtt/suback.ts";
import { decodeUnsuback, UnsubackView } from "../../wire/mqtt/unsuback.ts";
import { reasonWords, withServerText } from "../words.ts";

/** What concerns the connection: the client. */
export interface ServerPacketsSink {
  /** Offsets in `view` point into `bytes`; both are valid until it returns. */
  onPublish(bytes: Buffer, view: PublishView): void;
  /** The server ends the connection. @param why in words */
  onDisconnect(why: string, reasonCode: number): void;
}

/** What concerns the session: the client's handler. */
export interface SessionPackets {
  /** The server gives up this id; to be answered by `sendPubcomp`. */
  onPubrel(packetId: number): void;
  /** @param type PUBACK, PUBREC or PUBCOMP */
  onAck(type: number, packetId: number, reasonCode: number): void;
  /** @param type SUBACK or UNSUBACK  @param codes one per filter, valid until it returns; none in an UNSUBACK before 5.0 */
  onSubscribed(type: number, packetId: number, codes: Uint8Array): void;
}

export class ServerPackets {
  readonly #sink: ServerPacketsSink;
  readonly #session: SessionPackets;
  readonly #publish = new PublishView();
  readonly #ack = new AckView();
  readonly #suback = new SubackView();
  readonly #unsuback = new UnsubackView();
  readonly #disconnect = new DisconnectView();

  constructor(sink: ServerPacketsSink, session: SessionPackets) {
    this.#sink = sink;
    this.#session = session;
  }

  /** The packet whose body is `bytes[at..end)`. @returns OK, or the reason to close with */
  read(bytes: Buffer, version: number, type: number, flags: number, at: number, end: number): number {
    switch (type) {
      case PUBLISH:
        return this.#onPublish(bytes, version, flags, at, end);
      case PUBACK:
      case PUBREC:
      case PUBREL:
      case PUBCOMP:
        return this.#onAck(bytes, version, type, flags, at, end);
      case SUBACK: {
        const code = decodeSuback(bytes, at, end, version, this.#suback);
        return code === OK ? this.#onSubscribed(type, bytes, this.#suback) : code;
      }
      case UNSUBACK: {
        const code = decodeUnsuback(bytes, at, end, version, this.#unsuback);
        return code === OK ? this.#onSubscribed(type, bytes, this.#unsuback) : code;
      }
      case PINGRESP:
        return decodePing(at, end);
      case DISCONNECT:
        return version === MQTT_5 ? this.#onDisconnect(bytes, version, at, end) : PROTOCOL_ERROR;
      default:
        return PROTOCOL_ERROR; // what only a client sends, a second CONNACK, AUTH without a method
    }
  }

  #onPublish(bytes: Buffer, version: number, flags: number, at: number, end: number): number {
    const view = this.#publish;
    const code = decodePublish(bytes, flags, at, end, version, view);
    if (code !== OK) return code;
    if (view.topicAlias !== 0) return TOPIC_ALIAS_INVALID; // [MQTT5-3.1.2-26] we announce none
    this.#sink.onPublish(bytes, view);
    return OK;
  }

  #onAck(bytes: Buffer, version: number, type: number, flags: number, at: number, end: number): number {
    const view = this.#ack;
    const code = decodeAck(bytes, type, flags, at, end, version, view);
    if (code !== OK) return code;
    if (type === PUBREL) this.#session.onPubrel(view.packetId);
    else this.#session.onAck(type, view.packetId, view.reasonCode);
    return OK;
  }

  #onSubscribed(type: number, bytes: Buffer, view: SubackView | UnsubackView): number {
    this.#session.onSubscribed(type, view.packetId, bytes.subarray(view.codesAt, view.codesAt + view.codesCount));
    return OK;
  }

  #onDisconnect(bytes: Buffer, version: number, at: number, end: number): number {
    const view = this.#disconnect;
    const code = decodeDisconnect(bytes, at, end, version, view);
    if (code !== OK) return code;
    const words =
      view.reasonCode === 0 ? "closed by the server" : `closed by the server: ${reasonWords(view.reasonCode)}`;
    const why = withServerText(words, bytes, view);
    this.#sink.onDisconnect(why, view.reasonCode);
    return OK;
  }
}
