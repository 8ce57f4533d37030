/**
 * The bus: commands before polls but never two commands while a poll is due, of the polls that are due the one that went
 * longest ago: by their dues, those of an overloaded bus would pass by one another, always the same.
 *
 *                  +-- asked again, or the next request of its job --+
 *                  v                                                 |
 *     FREE ----> READY ---- gap is over, port takes it ----> SENT ---+----> FREE
 *                                                              answer, or none in time
 *
 * On a serial line there is one exchange, and silence before each request; with the MBAP header up to `inFlight`, and what
 * is ready goes out in one write. Work that somebody hands in begins at the next ring of the one alarm, never within the
 * call: a command may finish at once, and its giver must not be told while it is still giving.
 */
import { BROADCAST } from "../../wire/modbus/codes.ts";
import type { AnswerReader, AnswerSink, Framing } from "../../wire/modbus/reader.ts";
import { ADU_BYTES_MAX } from "../../wire/modbus/reader.ts";
import { answerLength, type Request } from "../../wire/modbus/request.ts";
import { ANSWERS } from "../../wire/modbus/response.ts";
import type { Commands } from "./commands.ts";
import { Exchange, FREE, READY, SENT } from "./exchange.ts";
import { type Job, SILENT } from "./job.ts";
import type { Alarm, ModbusCounters, ModbusDoor, ModbusParts } from "./parts.ts";
import type { Poll } from "./poll.ts";
import { Rate } from "./rate.ts";
import type { Slave } from "./slave.ts";

export interface BusOptions {
  /** Of silence between an answer and the next request. */
  readonly gapMs: number;
  /** Time that a byte takes on the line; 0 on a network. */
  readonly byteMs: number;
  /** Requests that may wait for their answers at a time. */
  readonly inFlight: number;
  /** RTU: unit 0 is all slaves, answers do not say which request they are for. */
  readonly isBus: boolean;
  /** For all slaves to deal with a broadcast. */
  readonly turnaroundMs: number;
}

/** What `frame` adds to a PDU, at most. */
const FRAME_BYTES = 7;
/** Who is out of step all the time is not worth a line of the log for each time. */
const HANG_UP_MS = 30_000;
const NO_BYTES: Buffer = Buffer.alloc(0);

export class Master implements AnswerSink {
  readonly #polls: Poll[];
  readonly #commands: Commands | null;
  readonly #device: ModbusDoor;
  readonly #framing: Framing;
  readonly #options: BusOptions;
  readonly #parts: Pick<ModbusParts, "clock">;
  readonly #counters: ModbusCounters;
  readonly #alarm: Alarm;
  readonly #exchanges: readonly Exchange[];
  readonly #output: Buffer;
  /** Ms that the bus was in use. */
  readonly #used: Rate;
  /** Its use is counted up to here. */
  #usedMs = 0;
  #open = false;
  /** The port has requests of ours. */
  #writing = false;
  #gapEndMs = 0;
  /** The connection is not closed before. */
  #hangUpFromMs = 0;
  #wasCommand = false;

  constructor(
    polls: Poll[],
    commands: Commands | null,
    device: ModbusDoor,
    framing: Framing,
    options: BusOptions,
    parts: Pick<ModbusParts, "clock" | "alarm">,
    counters: ModbusCounters,
  ) {
    this.#polls = polls;
    this.#commands = commands;
    this.#device = device;
    this.#framing = framing;
    this.#options = options;
    this.#parts = parts;
    this.#counters = counters;
    this.#exchanges = Array.from({ length: options.inFlight }, () => new Exchange());
    this.#output = Buffer.allocUnsafeSlow(options.inFlight * ADU_BYTES_MAX);
    this.#used = new Rate(parts.clock.nowMs());
    this.#alarm = parts.alarm(() => this.#step());
  }

  get reader(): AnswerReader {
    return this.#framing.reader;
  }

  /** Percent of the last ten seconds. */
  busyPercent(): number {
    return Math.min(100, this.#used.perSecond(this.#now()) / 10);
  }

  onOpen(): void {
    this.#open = true;
    this.#gapEndMs = 0;
    for (const poll of this.#polls) poll.onOpen(this.#now());
    // Whether the wire echoes is known only when something was read.
    this.#wasCommand = true;
    this.#step();
  }

  /** The slaves are not to blame: a poll is tried again when the port is back, a command is its giver's. */
  onAway(): void {
    this.#alarm.clear();
    this.#framing.reader.reset();
    for (const exchange of this.#exchanges) {
      exchange.job?.onLost?.();
      exchange.free();
    }
    this.#open = false;
    this.#writing = false;
  }

  /** `polls` take the place of `poll`. */
  replace(poll: Poll, polls: readonly Poll[]): void {
    this.#polls.splice(this.#polls.indexOf(poll), 1, ...polls);
  }

  /** There is a command. */
  wake(): void {
    if (this.#open && !this.#writing) this.#alarm.set(0);
  }

  onWritten(): void {
    this.#writing = false;
    const now = this.#now();
    for (const exchange of this.#exchanges) {
      if (exchange.state === SENT && exchange.deadlineMs === Number.POSITIVE_INFINITY)
        exchange.deadlineMs = now + this.#patienceMs(exchange.request, (exchange.job as Job).slave);
    }
    this.#rest(now);
  }

  onData(chunk: Buffer): void {
    const { reader } = this.#framing;
    const { badFrames, strayBytes, echoes } = reader;
    reader.feed(chunk, this);
    this.#counters.badFrames.value += reader.badFrames - badFrames;
    this.#counters.strayBytes.value += reader.strayBytes - strayBytes;
    this.#counters.echoes.value += reader.echoes - echoes;
  }

  onAnswer(request: Request, verdict: number): void {
    const exchange = this.#exchanges.find((candidate) => candidate.request === request) as Exchange;
    const job = exchange.job as Job;
    const { tries } = exchange;
    const { reader } = this.#framing;
    const now = this.#now();
    if (verdict === ANSWERS) {
      this.#end(exchange, now, job.onAnswer(reader.bytes, reader.from, reader.end, now));
    } else {
      this.#counters.exceptions.value++;
      job.slave.exceptions++;
      this.#end(exchange, now, true);
      job.onFailure(verdict, now);
    }
    if (tries > 1) this.#awaitLate(exchange, job.slave, now);
    this.#rest(now);
  }

  /** What is due now: deadlines, then requests. */
  #step(): void {
    if (!this.#open || this.#writing) return;
    const now = this.#now();
    let givenUp = false;
    for (const exchange of this.#exchanges)
      if (exchange.state === SENT && exchange.deadlineMs <= now && this.#onDeadline(exchange, now)) givenUp = true;
    if (givenUp && this.#framing.reader.outOfStep && now >= this.#hangUpFromMs) {
      this.#hangUpFromMs = now + HANG_UP_MS;
      this.#device.hangUp("what came ends within a frame, or is no Modbus TCP");
      return;
    }
    if (now >= this.#gapEndMs) this.#send(now);
    if (!this.#writing) this.#rest(now);
  }

  /** @returns whether nobody asks again */
  #onDeadline(exchange: Exchange, now: number): boolean {
    const { request } = exchange;
    const job = exchange.job as Job;
    if (this.#isBroadcast(request)) {
      this.#end(exchange, now, job.onAnswer(NO_BYTES, 0, 0, now));
      return false;
    }
    this.#framing.reader.forget(request);
    this.#counters.timeouts.value++;
    job.slave.timeouts++;
    const givesUp = job.slave.state === "silent" || exchange.tries > job.slave.retries;
    if (givesUp) {
      this.#end(exchange, now, true);
      job.onFailure(SILENT, now);
      this.#awaitLate(exchange, job.slave, now);
    } else {
      const { tries } = exchange;
      this.#end(exchange, now, false);
      exchange.tries = tries;
    }
    return givesUp;
  }

  /** On a bus an answer that comes too late, or to an earlier try, may look like that to the slave's next request. */
  #awaitLate({ request, state }: Exchange, slave: Slave, now: number): void {
    if (!this.#options.isBus) return;
    const endMs = now + this.#patienceMs(request, slave);
    slave.heldUntilMs = endMs;
    if (state === READY) this.#gapEndMs = endMs;
  }

  /** @param done or its job has another request */
  #end(exchange: Exchange, now: number, done: boolean): void {
    this.#used.add(now, now - this.#usedMs + (this.#exchanges.length === 1 ? this.#options.gapMs : 0));
    this.#usedMs = now;
    this.#gapEndMs = now + this.#options.gapMs;
    if (done) exchange.free();
    else exchange.begin(exchange.job as Job);
  }

  /** Writes all that is to go now. */
  #send(now: number): void {
    let length = 0;
    if (this.#exchanges.every(({ state }) => state !== SENT)) this.#usedMs = now;
    for (const exchange of this.#exchanges) {
      if (exchange.state === FREE) {
        const job = this.#next(now);
        if (job !== null) exchange.begin(job);
      }
      if (exchange.state === READY) length = this.#put(exchange, length);
    }
    if (length === 0) return;
    this.#writing = true;
    this.#device.write(this.#output.subarray(0, length));
  }

  #put(exchange: Exchange, at: number): number {
    const { request } = exchange;
    const { reader } = this.#framing;
    (exchange.job as Job).fill(request);
    const end = this.#framing.encode(request, this.#output, at);
    if (!this.#isBroadcast(request)) reader.expect(request);
    this.#counters.requests.value++;
    exchange.tries++;
    exchange.state = SENT;
    exchange.deadlineMs = Number.POSITIVE_INFINITY;
    return end;
  }

  #next(now: number): Job | null {
    let first: Poll | null = null;
    for (const poll of this.#polls) {
      if (poll.readyMs > now || (first !== null && poll.begunMs >= first.begunMs)) continue;
      if (this.#mayBegin(poll)) first = poll;
    }
    const command = this.#wasCommand && first !== null ? null : (this.#commands?.take(now) ?? null);
    this.#wasCommand = command !== null;
    if (command !== null || first === null) return command;
    first.onBegin(now);
    return first;
  }

  /** Not twice at a time, and of a slave that may be dead one at a time. */
  #mayBegin(poll: Poll): boolean {
    const isSure = poll.slave.state === "answers";
    return this.#exchanges.every(({ job }) => job !== poll && (isSure || job?.slave !== poll.slave));
  }

  /** Until the next deadline, the end of the gap, or until something is due. */
  #rest(now: number): void {
    if (!this.#open || this.#writing) return;
    let nextMs = Number.POSITIVE_INFINITY;
    let dueMs = Number.POSITIVE_INFINITY;
    for (const { state, deadlineMs } of this.#exchanges) {
      if (state === SENT) nextMs = Math.min(nextMs, deadlineMs);
      else if (state === READY) dueMs = now;
    }
    if (dueMs > now && this.#exchanges.some(({ state }) => state === FREE)) dueMs = this.#dueMs();
    nextMs = Math.min(nextMs, Math.max(dueMs, this.#gapEndMs));
    if (nextMs !== Number.POSITIVE_INFINITY) this.#alarm.set(Math.max(0, nextMs - now));
  }

  #dueMs(): number {
    let dueMs = this.#commands?.readyMs ?? Number.POSITIVE_INFINITY;
    for (const poll of this.#polls) if (poll.readyMs < dueMs && this.#mayBegin(poll)) dueMs = poll.readyMs;
    return dueMs;
  }

  #isBroadcast({ unit }: Request): boolean {
    return this.#options.isBus && unit === BROADCAST;
  }

  /** Ms after which no answer to `request`, which the port has, comes any more; or all slaves have dealt with it. */
  #patienceMs(request: Request, { timeoutMs }: Slave): number {
    const { byteMs, turnaroundMs } = this.#options;
    const requestMs = (request.pduLength + FRAME_BYTES) * byteMs;
    if (this.#isBroadcast(request)) return requestMs + turnaroundMs;
    return requestMs + timeoutMs + (answerLength(request) + FRAME_BYTES) * byteMs;
  }

  #now(): number {
    return this.#parts.clock.nowMs();
  }
}
