/** What is read of a line: where frames end, whether one arrived whole, and what it says. */
import type { BadFrame, FrameDecoder } from "../../wire/serial/framing.ts";

/** `unchecked`: a frame, and no check is known. `malformed`: whole, and no message of its protocol. */
export type Verdict = "ok" | "unchecked" | "malformed" | BadFrame;

export interface Judgement {
  readonly verdict: Verdict;
  /** What it says, for people; null = nobody knows. */
  readonly words: string | null;
  /** What the check would have to be; null = it holds, or there is none. */
  readonly expected: Buffer | null;
}

export interface Reading {
  readonly decoder: FrameDecoder;
  /** For people: "slip, crc16-modbus". */
  readonly name: string;
  /** How much a frame that is `ok` says: such a verdict comes by chance, now and then, or hardly ever. */
  readonly strength: "none" | "weak" | "strong";
  judge(frame: Buffer): Judgement;
}

export function judgement(verdict: Verdict, words: string | null = null, expected: Buffer | null = null): Judgement {
  return { verdict, words, expected };
}
