/**
 * From chunks of the device to frames, with what stops the decoder and makes it go on: a sink that takes no more, silence,
 * a search that is more than one turn's work (`busy`), and frames that are. The port is paused meanwhile, so what is kept is
 * at most a chunk.
 *
 *     READING --- the sink is closed -------> PAUSED --- open again ---------> READING
 *             --- the decoder is busy ------>        --- 2 ms later --------->
 *             --- no work left for a turn -->        --- the port's turn ---->
 */
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import type { FrameDecoder, FrameSink } from "../../wire/serial/framing.ts";
import { FrameGap, type GapOwner } from "./frame-gap.ts";
import type { SerialDevice, SerialParts } from "./parts.ts";

/** Between two turns of a search. */
const TURN_MS = 2;
/**
 * Frames and publications that a line works off in one turn of the event loop: 0.2 to 1 ms. A read of the port may hold
 * thousands of frames of a byte or two; the others then wait for a later turn.
 */
export const WORK_PER_TURN = 256;
const NOTHING = Buffer.alloc(0);

export interface FrameTaker extends FrameSink {
  /** Whether one more frame can be taken; when it can again it says so by `goOn`. */
  readonly open: boolean;
  /** @returns false also when no `work` is left */
  onFrame(bytes: Buffer, from: number, end: number): boolean;
}

export class FrameReader implements GapOwner, Expirable {
  /** Left in this turn of WORK_PER_TURN; the taker counts it down. */
  work = WORK_PER_TURN;
  readonly #parts: SerialParts;
  readonly #device: SerialDevice;
  readonly #decoder: FrameDecoder;
  readonly #taker: FrameTaker;
  /** null: silence says nothing in this framing, nor has it anything to search. */
  readonly #gap: FrameGap | null;
  readonly #wheel: TimerWheel | null;
  readonly #turn = new Timer(this, 0);
  /** What came in one chunk behind the frame that paused the port. */
  #rest: Buffer | null = null;
  #paused = false;
  /** The port went away behind what is kept. */
  #ended = false;

  constructor(parts: SerialParts, device: SerialDevice, decoder: FrameDecoder, taker: FrameTaker) {
    this.#parts = parts;
    this.#device = device;
    this.#decoder = decoder;
    this.#taker = taker;
    const { gapMs } = decoder;
    this.#wheel = gapMs === null ? null : parts.busWheel();
    this.#gap = this.#wheel === null ? null : new FrameGap(this, gapMs as number, parts.clock, this.#wheel);
  }

  onData(chunk: Buffer): void {
    this.work = WORK_PER_TURN;
    this.#gap?.beforeChunk();
    // The gap may have ended the frame after which no more can be taken.
    const at = this.#goes ? this.#decoder.feed(chunk, 0, this.#taker) : 0;
    if (at < chunk.length) this.#rest = Buffer.from(chunk.subarray(at));
    if (!this.#stops()) this.#gap?.afterChunk();
  }

  get underWay(): boolean {
    return this.#decoder.pendingBytes > 0;
  }

  /** Nothing came for the time that ends a frame. While paused nothing can come. */
  onFrameGap(): void {
    if (this.#paused) return;
    this.#decoder.onGap(this.#taker);
    this.#stops();
  }

  /** The frame that was under way will not be finished; while paused, what was read is looked through for whole ones first. */
  onAway(): void {
    this.#gap?.stop();
    this.#ended = true;
    if (!this.#paused) this.#forget();
  }

  /** The port was opened again while frames are held: it stays paused. */
  onOpen(): void {
    if (this.#paused) this.#device.pause();
  }

  close(): void {
    this.#gap?.stop();
    this.#wheel?.cancel(this.#turn);
  }

  pause(): void {
    this.#paused = true;
    this.#device.pause();
  }

  /** More can be taken, perhaps. */
  goOn(): void {
    // Whole frames may also wait inside of the decoder.
    for (let more = this.#paused; more && this.#goes && !this.#turn.armed; more = this.#rest !== null) {
      const rest = this.#rest ?? NOTHING;
      this.#rest = null;
      const at = this.#decoder.feed(rest, 0, this.#taker);
      if (at < rest.length) this.#rest = rest.subarray(at);
      if (this.#decoder.busy) this.#wheel?.schedule(this.#turn, TURN_MS);
    }
    if (!this.#paused || !this.#taker.open || this.#turn.armed) return;
    if (this.work <= 0) {
      this.#device.awaitTurn();
      return;
    }
    if (this.#ended) this.#forget();
    this.#paused = false;
    this.#gap?.restart();
    this.#device.resume();
  }

  onTimer(): void {
    this.goOn();
  }

  onTurn(): void {
    this.work = WORK_PER_TURN;
    this.goOn();
  }

  get #goes(): boolean {
    return this.work > 0 && this.#taker.open;
  }

  #forget(): void {
    this.#ended = false;
    if (this.#decoder.pendingBytes > 0) this.#parts.counters.badFrames.cut.value++;
    this.#decoder.reset();
  }

  /** Pauses the port when no more is to come for now. */
  #stops(): boolean {
    const { busy } = this.#decoder;
    if (this.#goes && !busy) return false;
    if (busy) this.#wheel?.schedule(this.#turn, TURN_MS);
    if (this.work <= 0) this.#device.awaitTurn();
    this.pause();
    return true;
  }
}
