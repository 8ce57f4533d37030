/**
 * What all MQTT conversations of a gateway share: the rooms below, limits, counters, and the views that decoders fill
 * (one packet is handled to its end before the next, so one of each is enough).
 */
import { isUtf8 } from "node:buffer";
import { Allowance } from "../../base/allowance.ts";
import type { Counter, Counters } from "../../base/counters.ts";
import { crypto } from "../../base/crypto.ts";
import type { Log } from "../../base/log.ts";
import type { TimerWheel } from "../../base/timer-wheel.ts";
import type { Line } from "../../config/budget.ts";
import type { Authority, Store, TimeSource } from "../../core/ports.ts";
import { Publication } from "../../core/publication.ts";
import type { Router } from "../../core/router.ts";
import type { SessionRegistry } from "../../core/session-registry.ts";
import type { Link } from "../../transport/link.ts";
import { AckView } from "../../wire/mqtt/ack.ts";
import { AuthView } from "../../wire/mqtt/auth.ts";
import { SERVER_SHUTTING_DOWN } from "../../wire/mqtt/codes.ts";
import { ConnectView } from "../../wire/mqtt/connect.ts";
import { DisconnectView } from "../../wire/mqtt/disconnect.ts";
import { FrameHeader } from "../../wire/mqtt/frame.ts";
import { PropertiesWriter } from "../../wire/mqtt/properties.ts";
import { PublishView } from "../../wire/mqtt/publish.ts";
import { SubscribeView } from "../../wire/mqtt/subscribe.ts";
import { UnsubscribeView } from "../../wire/mqtt/unsubscribe.ts";
import { AliasFrame, SCRATCH_BYTES } from "./aliases-in.ts";
import { EXCHANGE_BYTES, EXCHANGES_MAX, Exchanges } from "./auth-exchanges.ts";
import { close } from "./close.ts";
import { Connection } from "./connection.ts";
import { InputRoom } from "./input-room.ts";
import { PausedReaders } from "./paused-readers.ts";
import { INPUT_BYTES_MAX } from "./states.ts";
import { Traffic } from "./traffic.ts";

export interface MqttLimits {
  readonly maxPacketBytes: number;
  readonly outputBytes: number;
  readonly pauseMaxMs: number;
  readonly refusalHoldMs: number;
  readonly connectTimeoutMs: number;
  readonly keepAliveMaxMs: number;
  readonly maxSessions: number;
  readonly sessionQueueMessages: number;
  readonly sessionQueueBytes: number;
  readonly retainedMessages: number;
  readonly retainedBytes: number;
  readonly retainedPayloadBytes: number;
  readonly subscriptionsPerClient: number;
  readonly topicLevels: number;
  readonly topicBytes: number;
  readonly stringBytes: number;
  readonly sessionExpiryMaxMs: number;
  readonly inflight: number;
  /** QoS 1 and 2 PUBLISHes of a client that are not answered yet. */
  readonly receiveMaximum: number;
  /** Of a client's connection, in each direction; 0 = none. */
  readonly topicAliases: number;
  readonly validateUtf8Payload: boolean;
}

/** What a listener adds to the common rules. */
export interface MqttListenerOptions {
  readonly maxQos: number;
  readonly retainAvailable: boolean;
  readonly anonymous: "never" | "loopback" | "always" | null;
}

export interface MqttParts {
  readonly router: Router;
  readonly registry: SessionRegistry;
  readonly authority: Authority;
  readonly store: Store;
  readonly time: TimeSource;
  readonly wheel: TimerWheel;
  readonly counters: Counters;
  readonly log: Log;
  readonly limits: MqttLimits;
  readonly memoryLimitBytes: number;
  /** Response Information, `{client}` standing for the client id; null = none. */
  readonly responseInformation: string | null;
  /** Admission of a login by password: 0 = now, otherwise ms to wait before asking again. */
  readonly loginWaitMs: () => number;
}

export class MqttServer {
  readonly parts: MqttParts;
  readonly limits: MqttLimits;
  readonly router: Router;
  readonly authority: Authority;
  readonly paused: PausedReaders;
  /** For incomplete and held packets. */
  readonly input: InputRoom;
  readonly connections = new Set<Connection>();
  /** Of acknowledgements owed, beyond the few that each connection may owe. */
  readonly ackMemory: Allowance;
  /** Of topic aliases, both ways. */
  readonly aliasMemory: Allowance;
  stopping = false;

  // Scratch: filled and read within one packet.
  readonly header = new FrameHeader();
  readonly publishView = new PublishView();
  readonly ackView = new AckView();
  readonly connectView = new ConnectView();
  readonly subscribeView = new SubscribeView();
  readonly unsubscribeView = new UnsubscribeView();
  readonly disconnectView = new DisconnectView();
  readonly authView = new AuthView();
  readonly properties = new PropertiesWriter();
  readonly reasonProperties = new PropertiesWriter(REASON_BYTES_MAX);
  /** Why the packet under way ends its conversation, see reason-words.ts. */
  words = "";
  readonly publication = new Publication();
  readonly aliasFrame = new AliasFrame();

  /** Of enhanced authentication. */
  readonly exchanges: Exchanges;
  /** A new one for each exchange. */
  nonce = (): string => crypto().randomBytes(NONCE_BYTES).toString("base64");

  readonly traffic: Traffic;
  readonly tooLarge: Counter;
  readonly held: Counter;
  readonly acksFull: Counter;
  readonly aliasesFull: Counter;
  readonly inboundFull: Counter;

  constructor(parts: MqttParts) {
    this.parts = parts;
    this.limits = parts.limits;
    this.router = parts.router;
    this.authority = parts.authority;
    this.ackMemory = new Allowance(Math.floor(parts.memoryLimitBytes / ACKS_SHARE));
    this.aliasMemory = new Allowance(Math.floor(parts.memoryLimitBytes / ALIASES_SHARE));
    this.input = new InputRoom(parts.counters);
    this.paused = new PausedReaders(parts.counters);
    this.exchanges = new Exchanges(parts.counters);
    this.traffic = new Traffic(parts.counters);
    this.tooLarge = parts.counters.counter("mqtt.publish.too_large");
    this.held = parts.counters.counter("mqtt.publish.held");
    this.acksFull = parts.counters.counter("mqtt.acks_full");
    this.inboundFull = parts.counters.counter("mqtt.inbound_full");
    this.aliasesFull = parts.counters.counter("mqtt.aliases_full");
    parts.counters.gauge("mqtt.alias_bytes", () => this.aliasMemory.used);
    parts.counters.gauge("mqtt.ack_bytes", () => this.ackMemory.used);
    parts.counters.gauge("mqtt.connections", () => this.connections.size);
  }

  /** Whether a payload that its publisher calls text is that: section 3.3.2.3.2 lets us look. */
  isTextOrUnchecked(bytes: Buffer, from: number, end: number): boolean {
    if (!this.limits.validateUtf8Payload || isUtf8(bytes.subarray(from, end))) return true;
    this.parts.counters.counter("mqtt.publish.payload_format_invalid").value++;
    return false;
  }

  /** What a new connection may use. None while others have taken most of the memory: 0x97 is the worse answer. */
  get topicAliasMaximum(): number {
    const { used, bytesMax } = this.aliasMemory;
    return used > bytesMax * 0.75 ? 0 : this.limits.topicAliases;
  }

  /** Begins a conversation. */
  accept(link: Link, options: MqttListenerOptions): void {
    this.connections.add(new Connection(this, link, options));
  }

  /**
   * Says goodbye to all (0x8B in 5.0). That is no normal DISCONNECT: wills go out ([MQTT5-3.1.2-8]), and those with a
   * delay wait for it in the store.
   */
  stop(): void {
    this.stopping = true;
    for (const connection of [...this.connections]) close(connection, SERVER_SHUTTING_DOWN);
    this.paused.stop();
  }
}

/** Of our part of a SCRAM nonce. */
const NONCE_BYTES = 18;
/** Of a Reason String with its property. */
const REASON_BYTES_MAX = 256;
/** Bytes of a Connection with its smallest ring, timers and input, 775 measured. */
const CONNECTION_BYTES = 832;
/** Share of `memory_limit`: the longer rings of acknowledgements owed. Who finds no room is read more slowly. */
const ACKS_SHARE = 128;
/** Share of `memory_limit`: topic aliases. Who sets one when it is used up is disconnected (0x97). */
const ALIASES_SHARE = 160;

/** Worst case of all MQTT conversations, without their links. @param passwords whether there is a file of them: without it no exchange begins */
export function budget(
  limits: { readonly maxConnections: number },
  memoryLimitBytes: number,
  passwords: boolean,
): Line[] {
  return [
    {
      owner: "mqtt conversations",
      bytes: limits.maxConnections * CONNECTION_BYTES,
      how: `${limits.maxConnections} connections x ${CONNECTION_BYTES} B`,
    },
    {
      owner: "mqtt acknowledgements owed",
      bytes: Math.floor(memoryLimitBytes / ACKS_SHARE),
      how: `1/${ACKS_SHARE} of memory_limit for all connections together; beyond it reading pauses`,
    },
    {
      owner: "mqtt topic aliases",
      bytes: Math.floor(memoryLimitBytes / ALIASES_SHARE) + SCRATCH_BYTES,
      how: `1/${ALIASES_SHARE} of memory_limit for all connections together, ${SCRATCH_BYTES} B for a frame`,
    },
    {
      owner: "mqtt authentication",
      bytes: passwords ? EXCHANGES_MAX * EXCHANGE_BYTES : 0,
      how: `${EXCHANGES_MAX} exchanges x ${EXCHANGE_BYTES} B`,
    },
    { owner: "mqtt input", bytes: INPUT_BYTES_MAX, how: "incomplete and held packets of all connections" },
  ];
}
