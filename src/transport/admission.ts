/**
 * The one place that says no, or "wait": to sockets beyond `max_connections` and `connections_per_address`, to TLS handshakes and logins beyond
 * `handshakes_per_second`, and to everybody new while the event loop lags (after a power cut a thousand devices come
 * back at once, and those that are in must not time out because of those that want in).
 *
 *     socket ── arrive ──> full, or too many of its address? closed
 *                      ──> lagging, no token, or others wait already? kept unread in `#waiting`  ──sample──> gate.enter
 *                      ──> gate.enter
 */
import type { Socket } from "node:net";
import type { Clock } from "../base/clock.ts";
import type { Counter, Counters } from "../base/counters.ts";
import type { Log } from "../base/log.ts";
import { RingBuffer } from "../base/ring-buffer.ts";
import { TokenBucket } from "../base/token-bucket.ts";
import { PerAddress } from "./per-address.ts";

/** Lag of the event loop beyond which new sockets wait. */
export const LAG_MS_MAX = 100;
/** Period of the timer whose lateness is the lag; it runs only while sockets arrive or wait. */
const SAMPLE_MS = 20;
/** Samples without an arrival after which the timer stops. */
const IDLE_SAMPLES = 50;
/** Ms of one sample that letting in may take. */
const ENTER_MS_MAX = 10;
/** A client repeats its ClientHello after a second, then after two. */
const WANTED_MS = 2000;
/** The burst of handshakes, as a share of a second's worth. */
const BURST_SHARE = 0.25;

export interface AdmissionLimits {
  readonly maxConnections: number;
  /** `maxConnections` or more: addresses are not counted. */
  readonly connectionsPerAddress: number;
  readonly handshakesPerSecond: number;
}

export interface AdmissionParts {
  readonly clock: Clock;
  readonly counters: Counters;
  readonly log: Log;
}

/** A listener: what comes behind admission. */
export interface Gate {
  /** True when entering costs a TLS handshake. */
  readonly handshake: boolean;
  /** Takes a socket that has not been read from. */
  enter(socket: Socket): void;
}

interface Waiting {
  readonly socket: Socket;
  readonly gate: Gate;
}

const ADMISSION = Symbol("admission");
const ADDRESS = Symbol("address");
interface CountedSocket extends Socket {
  [ADMISSION]: Admission;
  /** As counted by `PerAddress`; null = it is not. */
  [ADDRESS]: string | null;
}

export class Admission {
  readonly #maxConnections: number;
  /** null = off. */
  readonly #perAddress: PerAddress | null;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #handshakes: TokenBucket;
  readonly #logins: TokenBucket;
  readonly #waiting: RingBuffer<Waiting>;
  readonly #waitingForHandshake: RingBuffer<Waiting>;
  readonly #accepted: Counter;
  readonly #refused: Counter;
  readonly #crowded: Counter;
  readonly #deferred: Counter;
  readonly #loginsDeferred: Counter;
  /** The last token went to DTLS, so the next is for a socket that waits, if one does. */
  #socketsTurn = false;
  /** When a DTLS handshake was last told to come again; for a while after it sockets leave a token for it. */
  #datagramsWantedMs = Number.NEGATIVE_INFINITY;
  #connections = 0;
  #full = false;
  #lagMs = 0;
  #sampleDueMs = 0;
  #sampling: NodeJS.Timeout | null = null;
  #idleSamples = 0;

  constructor(limits: AdmissionLimits, parts: AdmissionParts) {
    const { clock, counters } = parts;
    const rate = limits.handshakesPerSecond;
    const burst = Math.max(1, Math.ceil(rate * BURST_SHARE));
    this.#maxConnections = limits.maxConnections;
    const { connectionsPerAddress } = limits;
    this.#perAddress = connectionsPerAddress < limits.maxConnections ? new PerAddress(connectionsPerAddress) : null;
    this.#clock = clock;
    this.#log = parts.log;
    this.#handshakes = new TokenBucket(rate, burst, clock);
    this.#logins = new TokenBucket(rate, burst, clock);
    this.#waiting = new RingBuffer(limits.maxConnections);
    this.#waitingForHandshake = new RingBuffer(limits.maxConnections);
    this.#accepted = counters.counter("transport.accepted");
    this.#refused = counters.counter("transport.refused.max_connections");
    this.#crowded = counters.counter("transport.refused.connections_per_address");
    this.#deferred = counters.counter("transport.deferred");
    this.#loginsDeferred = counters.counter("transport.logins_deferred");
    counters.gauge("transport.connections", () => this.#connections);
    counters.gauge("transport.waiting", () => this.waiting);
  }

  /** Sockets that are open, waiting ones included. */
  get connections(): number {
    return this.#connections;
  }

  /** Sockets that have not been let in yet. */
  get waiting(): number {
    return this.#waiting.length + this.#waitingForHandshake.length;
  }

  /** A socket that has not been read from: lets it in now or later, or destroys it. */
  arrive(socket: Socket, gate: Gate): void {
    socket.on("error", ignore);
    if (this.#connections >= this.#maxConnections) {
      this.#refuse(socket);
      return;
    }
    const address = this.#perAddress?.addressOf(socket.remoteAddress) ?? null;
    if (address !== null && this.#perAddress?.enter(address) === false) {
      this.#crowded.value++;
      this.#log.debug("address-at-limit", { address });
      socket.destroy();
      return;
    }
    this.#accepted.value++;
    this.#connections++;
    (socket as CountedSocket)[ADMISSION] = this;
    (socket as CountedSocket)[ADDRESS] = address;
    socket.on("close", onClose);
    this.#idleSamples = 0;
    if (this.#sampling === null) this.#sampleLater();
    const queue = gate.handshake ? this.#waitingForHandshake : this.#waiting;
    if (queue.length === 0 && this.#lagMs <= LAG_MS_MAX && (!gate.handshake || this.#takeForSocket())) {
      gate.enter(socket);
      return;
    }
    this.#deferred.value++;
    queue.push({ socket, gate }); // not full: it holds as many as there may be connections
  }

  /**
   * Whether a DTLS handshake may begin now. Whoever may not is not kept: a client repeats its ClientHello. Asked before it is
   * known whether there will be one; `handshakeBegan` then takes the token.
   */
  mayHandshake(): boolean {
    this.#idleSamples = 0;
    if (this.#sampling === null) this.#sampleLater();
    const may =
      this.#lagMs <= LAG_MS_MAX &&
      !(this.#socketsTurn && this.#waitingForHandshake.length > 0) &&
      this.#handshakes.waitMs() === 0;
    if (!may) this.#datagramsWantedMs = this.#clock.nowMs();
    return may;
  }

  /** A token for a socket. Where DTLS and TLS both wait they take turns, so that neither keeps the other out. */
  #takeForSocket(): boolean {
    const leaves = !this.#socketsTurn && this.#clock.nowMs() - this.#datagramsWantedMs < WANTED_MS;
    if (this.#handshakes.waitMs(leaves ? 2 : 1) > 0) return false;
    this.#handshakes.spend(1);
    this.#socketsTurn = false;
    return true;
  }

  /** A DTLS handshake has begun. */
  handshakeBegan(): void {
    this.#handshakes.spend(1);
    this.#socketsTurn = true;
  }

  /** Whether a login may begin now; otherwise again after `loginWaitMs`. */
  login(): boolean {
    if (this.#logins.take()) return true;
    this.#loginsDeferred.value++;
    return false;
  }

  /** Ms until the next login may begin. */
  loginWaitMs(): number {
    return this.#logins.waitMs();
  }

  /** The gate closes: those that wait for it go. */
  forget(gate: Gate): void {
    for (const queue of [this.#waiting, this.#waitingForHandshake]) {
      for (let count = queue.length; count > 0; count--) {
        const entry = queue.shift() as Waiting;
        if (entry.gate === gate) entry.socket.destroy();
        else queue.push(entry);
      }
    }
  }

  /** Measures the lag and lets in whom it can. Called by its own timer. */
  sample(): void {
    this.#sampling = null;
    const nowMs = this.#clock.nowMs();
    this.#lagMs = Math.max(0, nowMs - this.#sampleDueMs);
    this.#letIn(nowMs, this.#lagMs <= LAG_MS_MAX ? this.waiting : 1);
    this.#idleSamples = this.waiting > 0 ? 0 : this.#idleSamples + 1;
    if (this.#idleSamples < IDLE_SAMPLES) this.#sampleLater();
    else this.#lagMs = 0;
  }

  /** The socket is closed. @param address as counted */
  leave(address: string | null): void {
    this.#connections--;
    if (address !== null) this.#perAddress?.leave(address);
    if (this.#full && this.#connections < this.#maxConnections) {
      this.#full = false;
      this.#log.info("connections-below-limit", { max: this.#maxConnections });
    }
  }

  /** Lets in at most `max`. One at a time goes in even while the loop lags, or a busy gateway would lock all out. */
  #letIn(startMs: number, max: number): void {
    for (let entered = 0; entered < max && this.#clock.nowMs() - startMs < ENTER_MS_MAX; entered++) {
      if (this.#waiting.length > 0) enter(this.#waiting);
      else if (this.#waitingForHandshake.length > 0 && this.#takeForSocket()) enter(this.#waitingForHandshake);
      else return;
    }
  }

  #refuse(socket: Socket): void {
    this.#refused.value++;
    if (!this.#full) {
      this.#full = true;
      this.#log.warn("connections-at-limit", { max: this.#maxConnections, refused: this.#refused.value });
    }
    socket.destroy();
  }

  #sampleLater(): void {
    this.#sampleDueMs = this.#clock.nowMs() + SAMPLE_MS;
    this.#sampling = setTimeout(sample, SAMPLE_MS, this);
    this.#sampling.unref();
  }
}

function enter(queue: RingBuffer<Waiting>): void {
  const entry = queue.shift();
  if (entry !== undefined && !entry.socket.destroyed) entry.gate.enter(entry.socket);
}

function sample(admission: Admission): void {
  admission.sample();
}

function onClose(this: Socket): void {
  const socket = this as CountedSocket;
  socket[ADMISSION].leave(socket[ADDRESS]);
}

function ignore(): void {}
