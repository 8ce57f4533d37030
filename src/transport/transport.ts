/** What all links and listeners of a process share. */
import type { Clock } from "../base/clock.ts";
import type { Counter, Counters } from "../base/counters.ts";
import type { Log } from "../base/log.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import { Admission } from "./admission.ts";
import { Flusher } from "./flusher.ts";
import { type OutputMemory, outputMemory } from "./output-buffers.ts";

/** The part of the configuration's limits that the transport applies. */
export interface TransportLimits {
  readonly maxConnections: number;
  readonly connectionsPerAddress: number;
  readonly connectTimeoutMs: number;
  readonly handshakesPerSecond: number;
  readonly outputBytes: number;
}

export interface TransportParts {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly counters: Counters;
  readonly log: Log;
}

export class Transport {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly counters: Counters;
  readonly log: Log;
  readonly flusher: Flusher;
  readonly admission: Admission;
  /** For a TLS handshake, and for the headers of a request. */
  readonly connectTimeoutMs: number;
  readonly bytesReceived: Counter;

  constructor(
    limits: TransportLimits,
    parts: TransportParts,
    memory: OutputMemory = outputMemory(limits.maxConnections),
  ) {
    this.clock = parts.clock;
    this.wheel = parts.wheel;
    this.counters = parts.counters;
    this.log = parts.log;
    this.flusher = new Flusher(limits.outputBytes, memory, parts.counters);
    this.connectTimeoutMs = limits.connectTimeoutMs;
    this.admission = new Admission(limits, parts);
    this.bytesReceived = parts.counters.counter("transport.bytes_received");
  }

  /** Counts a peer that was turned away: transport.refused.<reason>. */
  refused(reason: string): void {
    this.counters.counter(`transport.refused.${reason}`).value++;
  }
}
