/** What a serial line needs from the rest of the gateway. */
import type { Clock } from "../../base/clock.ts";
import type { Counter, Counters } from "../../base/counters.ts";
import type { Log } from "../../base/log.ts";
import type { TimerWheel } from "../../base/timer-wheel.ts";
import type { DeviceRouter } from "../../core/device-receiver.ts";
import type { Ledger } from "../../core/ledger.ts";
import type { PlainLimits, Publisher } from "../../core/plain-publish.ts";
import type { Authority, Principal } from "../../core/ports.ts";
import type { BadFrame } from "../../wire/serial/framing.ts";

export interface SerialTopic {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
}

export type SerialRouter = Publisher & DeviceRouter;

/** transport/serial/serial-port.ts, as far as it is used here. */
export interface SerialDevice {
  readonly isOpen: boolean;
  pause(): void;
  resume(): void;
  /** Nothing more in this turn of the event loop; the device's handler hears `onTurn` in a later one, once. */
  awaitTurn(): void;
  /** One at a time; the device's handler hears `onWritten`. */
  write(bytes: Buffer): void;
}

export interface SerialDeviceHandler {
  /** Silences of a few ms say something, so bytes are not to wait for each other. */
  readonly prompt?: boolean;
  onOpen(): void;
  /** `chunk` is valid until return; not called while the port is paused. */
  onData(chunk: Buffer): void;
  /** The bytes of the last `write` have left the machine. */
  onWritten(): void;
  /** What was being written is not confirmed any more. */
  onAway(): void;
  /** The turn that `awaitTurn` asked for. */
  onTurn?(): void;
}

/** Takes what a frame is published as. */
export interface PublicationSink {
  /** `payload` is valid until return. */
  onPublication(topic: string, payload: Buffer, qos: number, retain: boolean): void;
}

/** From a frame to publications: mapping/mapping.ts, loaded for the lines that ask for it. */
export interface FrameMapping {
  /** Most publications of one frame. */
  readonly publicationsMax: number;
  /** Bytes were read; the frames that end in them have come now, whenever they are mapped. */
  onRead(): void;
  /** What a frame of so many bytes may take besides its publications, in units of WORK_PER_TURN. */
  workOf(bytes: number): number;
  /** Gives `sink` what the frame `bytes[from..end)` is published as. */
  map(bytes: Buffer, from: number, end: number, sink: PublicationSink): void;
}

/** Counters that all lines of the process share. */
export class SerialCounters {
  readonly linesReceived: Counter;
  /** Frames that were thrown away, by cause. */
  readonly badFrames: Readonly<Record<BadFrame, Counter>>;
  /** Of those, the ones that `errors.topic` did not get: too many in a second, or refused. */
  readonly errorsSkipped: Counter;
  readonly linesRefused: Counter;
  readonly linesDenied: Counter;
  readonly linesWritten: Counter;
  readonly writesDropped: Counter;
  readonly writesInvalid: Counter;
  readonly writesExpired: Counter;
  readonly requests: Counter;
  readonly requestRetries: Counter;
  readonly requestTimeouts: Counter;
  readonly responses: Counter;
  readonly responsesDenied: Counter;
  readonly responsesRefused: Counter;

  constructor(counters: Counters) {
    this.linesReceived = counters.counter("serial.lines_received");
    this.badFrames = {
      "too-long": counters.counter("serial.lines_too_long"),
      check: counters.counter("serial.lines_bad_check"),
      escape: counters.counter("serial.lines_bad_escape"),
      cut: counters.counter("serial.lines_cut"),
      noise: counters.counter("serial.lines_noise"),
      encoding: counters.counter("serial.lines_bad_encoding"),
    };
    this.errorsSkipped = counters.counter("serial.errors_skipped");
    this.linesRefused = counters.counter("serial.lines_refused");
    this.linesDenied = counters.counter("serial.lines_denied");
    this.linesWritten = counters.counter("serial.lines_written");
    this.writesDropped = counters.counter("serial.writes_dropped");
    this.writesInvalid = counters.counter("serial.writes_invalid");
    this.writesExpired = counters.counter("serial.writes_expired");
    this.requests = counters.counter("serial.requests");
    this.requestRetries = counters.counter("serial.request_retries");
    this.requestTimeouts = counters.counter("serial.request_timeouts");
    this.responses = counters.counter("serial.responses");
    this.responsesDenied = counters.counter("serial.responses_denied");
    this.responsesRefused = counters.counter("serial.responses_refused");
  }
}

/** Takes a frame of the device that is the response to what was written. */
export interface ResponseTaker {
  /** @returns false: it goes the way of all frames */
  takeResponse(bytes: Buffer, from: number, end: number): boolean;
  /** All frames that were read together have been dealt with. */
  onRead(): void;
  /** Frames are held and the port is paused, or no more: a response could not be read. */
  onInputHeld(held: boolean): void;
}

/** For one line. */
export interface SerialParts {
  /** `serial:<name>` */
  readonly principal: Principal;
  readonly router: SerialRouter;
  readonly authority: Pick<Authority, "mayPublish">;
  readonly ledger: Pick<Ledger, "record">;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  /** To the millisecond, for gaps and timeouts on the wire; all lines that ask for it have the same. */
  readonly busWheel: () => TimerWheel;
  readonly log: Log;
  readonly counters: SerialCounters;
  readonly limits: { readonly refusalHoldMs: number } & PlainLimits;
}
