/** What the two framings have in common for a master. */
import type { Request } from "./request.ts";

/** Who waits for answers. */
export interface AnswerSink {
  /**
   * `request` is answered, and no longer waited for. The PDU is the reader's `bytes[from..end)`, valid until return.
   * @param verdict ANSWERS, or an exception code
   */
  onAnswer(request: Request, verdict: number): void;
}

export interface AnswerReader {
  /** The answer's PDU lies in `bytes[from..end)` while the sink hears of it. */
  readonly bytes: Buffer;
  readonly from: number;
  readonly end: number;
  /** Frames whose check or header is wrong, since the start. */
  readonly badFrames: number;
  /** Bytes that belong to no answer that was waited for, since the start. */
  readonly strayBytes: number;
  /** Requests that the wire brought back, since the start. */
  readonly echoes: number;
  /** Nobody can tell where the next answer begins. Never with RTU, where each request begins anew. */
  readonly outOfStep: boolean;
  /** From here on the answer to `request`, as it was encoded last, is looked for. */
  expect(request: Request): void;
  /** Its answer is not waited for any more. */
  forget(request: Request): void;
  /** Takes any piece of what comes in. */
  feed(chunk: Uint8Array, sink: AnswerSink): void;
  /** The connection is gone: nothing is waited for any more. */
  reset(): void;
}

export interface Framing {
  /** Puts `request` into `bytes` from `at`, which has ADU_BYTES_MAX there. @returns where it ends */
  encode(request: Request, bytes: Buffer, at: number): number;
  readonly reader: AnswerReader;
}

/** Of either framing: MBAP header and PDU. */
export const ADU_BYTES_MAX = 260;
