/** Judges the PDU of an answer against its request. */
import { EXCEPTION, isRead } from "./codes.ts";
import { answerLength, type Request } from "./request.ts";

export const ANSWERS = 0;
/** It answers something else, or is malformed. Positive values are exception codes. */
export const NO_ANSWER = -1;
/** Of an exception: function code and exception code. */
export const EXCEPTION_PDU_BYTES = 2;
/** Where the bits or registers lie in the PDU of a read's answer. */
export const VALUES_AT = 2;

/** @returns ANSWERS, the exception code (1 to 255), or NO_ANSWER for `bytes[from..end)` */
export function judgeAnswer(request: Request, bytes: Uint8Array, from: number, end: number): number {
  const length = end - from;
  if (length < 2) return NO_ANSWER;
  if (bytes[from] === (request.functionCode | EXCEPTION)) {
    const code = bytes[from + 1] as number;
    return length === EXCEPTION_PDU_BYTES && code !== 0 ? code : NO_ANSWER;
  }
  if (length !== answerLength(request)) return NO_ANSWER;
  return beginsAnswer(request, bytes, from, end) ? ANSWERS : NO_ANSWER;
}

/**
 * Whether `bytes[from..end)`, which may be cut short, can be the beginning of a positive answer: the function and, of a read,
 * the count of bytes; of a write, what it repeats of the request.
 */
export function beginsAnswer(request: Request, bytes: Uint8Array, from: number, end: number): boolean {
  const known = Math.min(end - from, isRead(request.functionCode) ? 2 : answerLength(request));
  for (let i = 0; i < known; i++) {
    const expected = i === 1 && isRead(request.functionCode) ? answerLength(request) - 2 : request.pdu[i];
    if (bytes[from + i] !== expected) return false;
  }
  return true;
}
