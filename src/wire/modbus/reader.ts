/** What the two framings have in common for a master. */
import type { Request } from "./request.ts";

/** Nothing whole yet. */
export const INCOMPLETE = -1;

export interface AnswerReader {
  /** The answer's PDU lies in `bytes[from..end)` after `feed` found it, until the next call. */
  readonly bytes: Buffer;
  readonly from: number;
  readonly end: number;
  /** Frames whose check or header is wrong, since the start. */
  readonly badFrames: number;
  /** Bytes that belong to no answer that was waited for, since the start. */
  readonly strayBytes: number;
  /** From here on the answer to `request` is looked for. */
  expect(request: Request): void;
  /** @returns INCOMPLETE, ANSWERS, or the exception code; after the latter two the rest of `chunk` is dropped */
  feed(chunk: Uint8Array): number;
  /** Nothing is waited for any more. */
  reset(): void;
}

export interface Framing {
  /** Puts `request` into `bytes`, which has ADU_BYTES_MAX. @returns its length */
  encode(request: Request, bytes: Buffer): number;
  readonly reader: AnswerReader;
}

/** Of either framing: MBAP header and PDU. */
export const ADU_BYTES_MAX = 260;
