/**
 * The bus: one request at a time, commands before polls but never two commands while a poll is due, of the polls that
 * are due the one that went longest ago: by their dues, those of an overloaded bus would pass by one another, always the same.
 *
 *              port opens          due                  answer, or none in time
 *     AWAY ----------------> IDLE -----> BUSY (1 request) -----------------------> GAP -----> IDLE
 *       ^                                  |     ^                                  |   silence
 *       +------- port is away -------------+     +--------- asked again ------------+
 *
 * There is never more than one thing to wait for, so there is one alarm. Work that somebody hands in begins at the next ring,
 * never within the call: a command may finish at once, and its giver must not be told while it is still giving.
 */
import type { AnswerReader, Framing } from "../../wire/modbus/reader.ts";
import { ADU_BYTES_MAX, INCOMPLETE } from "../../wire/modbus/reader.ts";
import { answerLength, Request } from "../../wire/modbus/request.ts";
import { ANSWERS } from "../../wire/modbus/response.ts";
import type { Commands } from "./commands.ts";
import { type Job, SILENT } from "./job.ts";
import type { Alarm, ModbusCounters, ModbusDoor, ModbusParts } from "./parts.ts";
import type { Poll } from "./poll.ts";
import { Rate } from "./rate.ts";

export interface BusOptions {
  /** For an answer to begin, after the request has left. */
  readonly timeoutMs: number;
  /** Times a slave that answered before is asked again. */
  readonly retries: number;
  /** Of silence between an answer and the next request. */
  readonly gapMs: number;
  /** Time that a byte takes on the line; 0 on a network. */
  readonly byteMs: number;
}

const AWAY = 0;
const IDLE = 1;
const BUSY = 2;
const GAP = 3;
/** What `frame` adds to a PDU, at most. */
const FRAME_BYTES = 7;

export class Master {
  readonly polls: readonly Poll[];
  readonly #commands: Commands | null;
  readonly #device: ModbusDoor;
  readonly #framing: Framing;
  readonly #reader: AnswerReader;
  readonly #options: BusOptions;
  readonly #parts: Pick<ModbusParts, "clock">;
  readonly #counters: ModbusCounters;
  readonly #alarm: Alarm;
  readonly #request = new Request();
  readonly #output = Buffer.allocUnsafeSlow(ADU_BYTES_MAX);
  /** Ms that the bus was in use. */
  readonly #used: Rate;
  #state = AWAY;
  #job: Job | null = null;
  #tries = 0;
  #written = false;
  #answered = false;
  #beganMs = 0;
  #wasCommand = false;

  constructor(
    polls: readonly Poll[],
    commands: Commands | null,
    device: ModbusDoor,
    framing: Framing,
    options: BusOptions,
    parts: Pick<ModbusParts, "clock" | "alarm">,
    counters: ModbusCounters,
  ) {
    this.polls = polls;
    this.#commands = commands;
    this.#device = device;
    this.#framing = framing;
    this.#reader = framing.reader;
    this.#options = options;
    this.#parts = parts;
    this.#counters = counters;
    this.#used = new Rate(parts.clock.nowMs());
    this.#alarm = parts.alarm(() => this.#onAlarm());
  }

  /** Percent of the last ten seconds. */
  busyPercent(): number {
    return Math.min(100, this.#used.perSecond(this.#now()) / 10);
  }

  onOpen(): void {
    this.#idle();
  }

  /** The slave is not to blame: a poll is tried again when the port is back, a command is its giver's. */
  onAway(): void {
    this.#alarm.clear();
    this.#reader.reset();
    this.#state = AWAY;
    this.#job = null;
  }

  /** There is a command. */
  wake(): void {
    if (this.#state === IDLE) this.#alarm.set(0);
  }

  onWritten(): void {
    if (this.#state !== BUSY) return;
    this.#written = true;
    if (this.#answered) this.#gap();
    else this.#alarm.set(this.#options.timeoutMs + this.#lineMs(answerLength(this.#request)));
  }

  onData(chunk: Buffer): void {
    const { badFrames, strayBytes } = this.#reader;
    const verdict = this.#reader.feed(chunk);
    this.#counters.badFrames.value += this.#reader.badFrames - badFrames;
    this.#counters.strayBytes.value += this.#reader.strayBytes - strayBytes;
    if (verdict === INCOMPLETE || this.#state !== BUSY || this.#job === null) return;
    const job = this.#job;
    this.#answered = true;
    this.#job = null;
    if (verdict === ANSWERS) {
      job.onAnswer(this.#reader.bytes, this.#reader.from, this.#reader.end, this.#now());
    } else {
      this.#counters.exceptions.value++;
      job.slave.exceptions++;
      job.onFailure(verdict, this.#now());
    }
    // Before its request is known to have left the port takes no other.
    if (this.#written && this.#state === BUSY) this.#gap();
  }

  #onAlarm(): void {
    if (this.#state === IDLE) this.#begin();
    else if (this.#state === GAP) this.#afterGap();
    else if (this.#state === BUSY && this.#written) this.#onSilence();
    else if (this.#state === BUSY) this.#alarm.set(this.#options.timeoutMs); // the port still has the request, or goes away
  }

  #onSilence(): void {
    const job = this.#job as Job;
    this.#counters.timeouts.value++;
    job.slave.timeouts++;
    if (job.slave.state === "silent" || this.#tries > this.#options.retries) {
      this.#job = null;
      job.onFailure(SILENT, this.#now());
    }
    this.#reader.reset();
    if (this.#state === BUSY) this.#gap();
  }

  #gap(): void {
    const now = this.#now();
    this.#used.add(now, now - this.#beganMs + this.#options.gapMs);
    this.#state = GAP;
    if (this.#options.gapMs > 0) this.#alarm.set(this.#options.gapMs);
    else this.#alarm.set(0);
  }

  #afterGap(): void {
    if (this.#job !== null) this.#send(this.#job);
    else this.#idle();
  }

  #idle(): void {
    this.#state = IDLE;
    this.#begin();
  }

  /** The next job, or when there will be one. */
  #begin(): void {
    const now = this.#now();
    let first: Poll | null = null;
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const poll of this.polls) {
      const readyMs = poll.readyMs;
      soonestMs = Math.min(soonestMs, readyMs);
      if (readyMs <= now && (first === null || poll.begunMs < first.begunMs)) first = poll;
    }
    const command = this.#wasCommand && first !== null ? null : (this.#commands?.take(now) ?? null);
    this.#wasCommand = command !== null;
    this.#tries = 0;
    if (command !== null) {
      this.#send(command);
    } else if (first !== null) {
      first.onBegin(now);
      this.#send(first);
    } else if (soonestMs !== Number.POSITIVE_INFINITY) {
      this.#alarm.set(Math.max(0, soonestMs - now));
    }
  }

  #send(job: Job): void {
    this.#job = job;
    this.#tries++;
    this.#counters.requests.value++;
    this.#state = BUSY;
    this.#written = false;
    this.#answered = false;
    this.#beganMs = this.#now();
    job.fill(this.#request);
    const length = this.#framing.encode(this.#request, this.#output);
    this.#reader.expect(this.#request);
    this.#alarm.set(this.#options.timeoutMs + this.#lineMs(length));
    this.#device.write(this.#output.subarray(0, length));
  }

  #lineMs(pduBytes: number): number {
    return (pduBytes + FRAME_BYTES) * this.#options.byteMs;
  }

  #now(): number {
    return this.#parts.clock.nowMs();
  }
}
