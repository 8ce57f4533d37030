/** What all MQTT conversations have said and heard: packets by type, bytes of payload. */
import type { Counter, Counters } from "../../base/counters.ts";
import {
  AUTH,
  CONNACK,
  CONNECT,
  DISCONNECT,
  PINGREQ,
  PINGRESP,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from "../../wire/mqtt/codes.ts";

const NAMES: readonly (readonly [type: number, name: string, received: boolean, sent: boolean])[] = [
  [CONNECT, "connect", true, false],
  [CONNACK, "connack", false, true],
  [PUBLISH, "publish", true, true],
  [PUBACK, "puback", true, true],
  [PUBREC, "pubrec", true, true],
  [PUBREL, "pubrel", true, true],
  [PUBCOMP, "pubcomp", true, true],
  [SUBSCRIBE, "subscribe", true, false],
  [SUBACK, "suback", false, true],
  [UNSUBSCRIBE, "unsubscribe", true, false],
  [UNSUBACK, "unsuback", false, true],
  [PINGREQ, "pingreq", true, false],
  [PINGRESP, "pingresp", false, true],
  [DISCONNECT, "disconnect", true, true],
  [AUTH, "auth", true, true],
];

const TYPES = 16;

export class Traffic {
  /** By packet type; all that no client may send share one. A packet that is held counts once it is dealt with. */
  readonly received: readonly Counter[];
  /** By packet type. */
  readonly sent: readonly Counter[];
  readonly publishesSent: Counter;
  readonly payloadBytesReceived: Counter;
  readonly payloadBytesSent: Counter;

  constructor(counters: Counters) {
    const received = new Array<Counter>(TYPES).fill(counters.counter("mqtt.invalid.received"));
    const sent: Counter[] = [];
    for (const [type, name, isReceived, isSent] of NAMES) {
      if (isReceived) received[type] = counters.counter(`mqtt.${name}.received`);
      if (isSent) sent[type] = counters.counter(`mqtt.${name}.sent`);
    }
    this.received = received;
    this.sent = sent;
    this.publishesSent = sent[PUBLISH] as Counter;
    this.payloadBytesReceived = counters.counter("mqtt.publish.bytes_received");
    this.payloadBytesSent = counters.counter("mqtt.publish.bytes_sent");
    const receivedOnce = [...new Set(received)];
    counters.gauge("mqtt.packets_received", () => sum(receivedOnce));
    counters.gauge("mqtt.packets_sent", () => sum(Object.values(sent)));
  }

  onSent(type: number): void {
    (this.sent[type] as Counter).value++;
  }
}

function sum(counters: readonly Counter[]): number {
  return counters.reduce((total, { value }) => total + value, 0);
}
