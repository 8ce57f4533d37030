/**
 * What comes in on a link: how much of it in a turn of the event loop, and what waits for the next one.
 *
 *     socket ── take ──> owner.takeIn ──> handler          within the read budget of the turn, else the socket stops
 *                            └── putBack ──> rest ── turn-queue.ts ──> takeTurn ──> owner.takeIn
 */
import type { Socket } from "node:net";
import { assert } from "../base/assert.ts";
import type { Flusher, TurnListener } from "./flusher.ts";
import type { ReadCount } from "./link.ts";
import type { TurnTaker } from "./turn-queue.ts";

/** What node reads at most at a time. */
const FULL_READ_BYTES = 64 * 1024;

export interface IntakeOwner {
  /**
   * @param bytes valid until it returns, unless they are put back
   * @param goesOn what was handed on before has used up part of the work of this turn already
   */
  takeIn(bytes: Buffer, goesOn: boolean): void;
  /** Nobody needs the chunk any more: all of it was taken in. */
  release?(chunk: Buffer): void;
}

/** What was put back. */
interface Rest {
  readonly bytes: Buffer;
  /** The chunk it is of. */
  whole: Buffer;
  /** Bytes that were taken out of the room of all rests. */
  readonly held: number;
}

export class Intake implements TurnListener, TurnTaker {
  paused = false;
  readonly #socket: Socket;
  readonly #owner: IntakeOwner;
  readonly #flusher: Flusher;
  #open = true;
  /** In the queue for turns, or kept out of it by `paused`. */
  #waitsForTurn = false;
  #rest: Rest | null = null;
  /** null = nobody counts. */
  reads: ReadCount | null = null;
  /** The turn that `#turnBytes` were read in. */
  #turn = -1;
  #turnBytes = 0;

  constructor(socket: Socket, owner: IntakeOwner, flusher: Flusher) {
    this.#socket = socket;
    this.#owner = owner;
    this.#flusher = flusher;
  }

  pause(): void {
    if (this.paused || !this.#open) return;
    this.paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    if (this.#waitsForTurn) return;
    if (this.#rest === null) this.#socket.resume();
    else this.#enterTurns();
  }

  /** The socket has read `chunk`. */
  take(chunk: Buffer): void {
    const flusher = this.#flusher;
    // A full read has work of its own, as bytes have a budget of theirs. Records of TLS have not: they may be short.
    const goesOn = this.#turn === flusher.turn && chunk.length < FULL_READ_BYTES;
    if (this.#turn !== flusher.turn) {
      this.#turn = flusher.turn;
      this.#turnBytes = 0;
      flusher.readers++;
      this.reads?.onRead();
      flusher.scheduleEnd();
    }
    const before = this.#turnBytes;
    this.#turnBytes += chunk.length;
    this.#owner.takeIn(chunk, goesOn);
    this.#doneWith(chunk, chunk);
    const { readBudgetBytes } = flusher;
    if (this.#turnBytes >= readBudgetBytes && before < readBudgetBytes) {
      this.#socket.pause();
      flusher.awaitEnd(this);
    }
  }

  /**
   * `bytes[from..end)` come again in a later turn, and nothing is read until then.
   * @param kept bytes that the owner keeps itself until then
   * @returns false when nobody has room for them: they are to be dealt with now, and nothing more is read in this turn
   */
  putBack(bytes: Buffer, from: number, end: number, kept = 0): boolean {
    // With nothing to keep it is a turn that is asked for, and whose rest waits has one.
    if (!this.#open || (this.#rest !== null && from === end && kept === 0)) return true;
    assert(this.#rest === null, "one rest at a time");
    const { turns } = this.#flusher;
    const held = end - from + kept;
    const has = turns.hold(held);
    this.#socket.pause();
    if (has) {
      if (this.#waitsForTurn) turns.leave(this);
      this.#rest = { bytes: bytes.subarray(from, end), whole: bytes, held };
      this.#enterTurns();
    } else if (!this.#waitsForTurn) {
      this.#waitsForTurn = true;
      turns.wait(this);
      this.#flusher.scheduleEnd();
    }
    return has;
  }

  /** Nothing more is wanted; the socket is read all the same, so that its end is seen. @returns what was put back */
  end(): Buffer | null {
    const bytes = this.#rest?.bytes ?? null;
    this.#open = false;
    this.#forgetRest();
    this.paused = false;
    this.#socket.resume();
    return bytes;
  }

  /** The socket is gone. */
  close(): void {
    this.#open = false;
    this.#forgetRest();
  }

  /** The read budget was spent; now there is a new one. */
  onTurnEnd(): void {
    if (!this.paused && !this.#waitsForTurn && this.#rest === null) this.#socket.resume();
  }

  takeTurn(): void {
    this.#waitsForTurn = false;
    if (this.paused) return;
    const rest = this.#rest;
    if (rest === null) {
      this.#socket.resume();
      return;
    }
    const { turns } = this.#flusher;
    this.#rest = null;
    turns.give(rest.held);
    this.#owner.takeIn(rest.bytes, false);
    this.#doneWith(rest.bytes, rest.whole);
    if (!this.#open || this.paused || this.#waitsForTurn) return;
    this.#waitsForTurn = true;
    turns.wait(this);
  }

  #enterTurns(): void {
    this.#waitsForTurn = true;
    this.#flusher.turns.enter(this);
    this.#flusher.scheduleEnd();
  }

  #forgetRest(): void {
    const { turns } = this.#flusher;
    if (this.#waitsForTurn) turns.leave(this);
    this.#waitsForTurn = false;
    if (this.#rest !== null) turns.give(this.#rest.held);
    this.#rest = null;
  }

  /** `bytes`, which are of `whole`, were taken in: unless some were put back, nobody needs it. */
  #doneWith(bytes: Buffer, whole: Buffer): void {
    if (this.#rest !== null && this.#rest.whole === bytes) this.#rest.whole = whole;
    else this.#owner.release?.(whole);
  }
}
