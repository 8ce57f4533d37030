// What may come back for a datagram, from RFC 7252 sections 3, 4 and 5.4 alone: it shares no code with the gateway, nor
// with the codec, so that what all of them take for a message is a message.
//
//     not CoAP (short, other version)                          silence             (3)
//     ACK or RST, whatever is in it                            silence             (4.2)
//     CON: format error, Empty, response, reserved class       RST                 (4.2)
//     NON: the same                                            silence             (4.3: an RST may, ours does not)
//     CON request                                              ACK with its Message ID, Empty or with its token (4.2, 5.2)
//     NON request                                              nothing, or a response with its token (5.2.3)
//     request with a critical option that is not recognised    4.02 to a CON, silence to a NON (5.4.1)

export interface Verdict {
  readonly answer: "silence" | "reset" | "acknowledgement" | "response";
  /** Whether it may have had an effect: a well-formed request that says nothing that is not understood. */
  readonly mayRun: boolean;
  /** A critical option that nobody knows, of a length it may not have, or once too often (5.4.1, 5.4.3, 5.4.5). */
  readonly badOption: boolean;
}

const CON = 0;
const NON = 1;
const ACK = 2;
const RST = 3;

/** Critical options (odd numbers) of RFC 7252 section 5.10 and RFC 7959 section 2.1: least and most bytes, repeatable. */
const CRITICAL: ReadonlyMap<number, readonly [number, number, boolean]> = new Map([
  [1, [0, 8, true]], // If-Match
  [3, [1, 255, false]], // Uri-Host
  [5, [0, 0, false]], // If-None-Match
  [7, [0, 2, false]], // Uri-Port
  [11, [0, 255, true]], // Uri-Path
  [15, [0, 255, true]], // Uri-Query
  [17, [0, 2, false]], // Accept
  [23, [0, 3, false]], // Block2
  [27, [0, 3, false]], // Block1
  [35, [1, 1034, false]], // Proxy-Uri
  [39, [1, 255, false]], // Proxy-Scheme
]);

/** A server may give up reading a request of more than that, and say so whatever else is in it. */
const OPTIONS_LOOKED_AT = 256;

/** An answer of any of these says that nothing was done, and why: which of several faults is named is free. */
const REFUSALS_OF_OPTIONS: readonly number[] = [0x80, 0x82, 0xa3, 0xa5];

interface Fields {
  type: number;
  code: number;
  messageId: number;
  token: string;
  options: { number: number; length: number }[];
  payloadBytes: number;
}

/** @returns null for what is no CoAP at all; "format error" for what begins as CoAP and goes on as something else */
export function fieldsOf(datagram: Uint8Array): Fields | "format error" | null {
  if (datagram.length < 4 || (datagram[0] as number) >>> 6 !== 1) return null;
  const [first, code, high, low] = datagram as unknown as [number, number, number, number];
  const tokenBytes = first % 16;
  if (tokenBytes > 8 || 4 + tokenBytes > datagram.length) return "format error";
  if (code === 0 && datagram.length > 4) return "format error"; // section 4.1
  const fields: Fields = {
    type: (first >>> 4) % 4,
    code,
    messageId: high * 256 + low,
    token: Buffer.from(datagram.subarray(4, 4 + tokenBytes)).toString("hex"),
    options: [],
    payloadBytes: 0,
  };
  const end = datagram.length;
  let at = 4 + tokenBytes;
  let number = 0;
  while (at < end) {
    const head = datagram[at++] as number;
    if (head === 0xff) {
      if (at === end) return "format error"; // section 3: a marker is followed by a payload
      fields.payloadBytes = end - at;
      return fields;
    }
    const [deltaBytes, lengthBytes] = [extensionBytes(head >>> 4), extensionBytes(head % 16)];
    if (deltaBytes === null || lengthBytes === null || at + deltaBytes + lengthBytes > end) return "format error";
    number += extended(head >>> 4, datagram, at);
    const length = extended(head % 16, datagram, at + deltaBytes);
    at += deltaBytes + lengthBytes + length;
    if (at > end || number > 0xffff) return "format error"; // an option number has 16 bits (section 12.2)
    fields.options.push({ number, length });
  }
  return fields;
}

/** Section 3.1: behind 13 is a byte, behind 14 are two, 15 is reserved. */
function extensionBytes(nibble: number): number | null {
  return nibble === 15 ? null : Math.max(0, nibble - 12);
}

function extended(nibble: number, datagram: Uint8Array, at: number): number {
  if (nibble < 13) return nibble;
  const high = datagram[at] as number;
  return nibble === 13 ? 13 + high : 269 + high * 256 + (datagram[at + 1] as number);
}

export function verdictOn(datagram: Uint8Array): Verdict {
  const nothing: Verdict = { answer: "silence", mayRun: false, badOption: false };
  const fields = fieldsOf(datagram);
  if (fields === null) return nothing;
  const type = ((datagram[0] as number) >>> 4) % 4;
  if (type === ACK || type === RST) return nothing;
  if (fields === "format error" || fields.code === 0 || fields.code >= 0x20) {
    return type === CON ? { ...nothing, answer: "reset" } : nothing;
  }
  const badOption = hasBadOption(fields);
  const answered = fields.options.length > OPTIONS_LOOKED_AT;
  if (type === NON) return { answer: badOption && !answered ? "silence" : "response", mayRun: !badOption, badOption };
  return { answer: "acknowledgement", mayRun: !badOption, badOption };
}

function hasBadOption({ options }: Fields): boolean {
  return options.some(({ number, length }, i) => {
    if (number % 2 === 0) return false;
    const known = CRITICAL.get(number);
    if (known === undefined) return true;
    const [least, most, repeatable] = known;
    return length < least || length > most || (!repeatable && options[i - 1]?.number === number);
  });
}

/** @returns what is wrong with what came back for `datagram`, or null */
export function complaintAbout(datagram: Uint8Array, answers: readonly Uint8Array[]): string | null {
  const { answer: expected, badOption } = verdictOn(datagram);
  if (expected === "silence") return answers.length === 0 ? null : `${answers.length} answers in place of silence`;
  if (expected === "response" && answers.length === 0) return null;
  if (answers.length !== 1) return `${answers.length} answers in place of one: ${expected}`;
  const answer = fieldsOf(answers[0] as Uint8Array);
  if (answer === null || answer === "format error") return `the answer is no CoAP message`;
  const messageId = (datagram[2] as number) * 256 + (datagram[3] as number);
  if (expected === "reset") {
    return answer.type === RST && answer.code === 0 && answer.messageId === messageId
      ? null
      : "no RST of its Message ID";
  }
  if (expected === "acknowledgement") {
    if (answer.type !== ACK || answer.messageId !== messageId) return "no ACK of its Message ID";
    if (answer.code === 0) return null;
  } else if (answer.type !== NON && answer.type !== CON) {
    return "the response to a NON is neither NON nor CON";
  }
  if (![2, 4, 5].includes(answer.code >>> 5)) return `a response of code ${answer.code}`;
  if (answer.token !== (fieldsOf(datagram) as Fields).token) return "the response has not the token of the request";
  if (badOption && !REFUSALS_OF_OPTIONS.includes(answer.code)) return `a bad critical option, and code ${answer.code}`;
  return null;
}
