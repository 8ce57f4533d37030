/** What the frames of a line with CoAP say: slipmux, or bare CoAP in SLIP. */
import { codeText, isRequest } from "../../wire/coap/codes.ts";
import { CoapHeader, HEADER_BYTES, OK, readHeader } from "../../wire/coap/header.ts";
import { coapOptions } from "../../wire/coap/option-list.ts";
import { SlipDecoder } from "../../wire/serial/slip.ts";
import { COAP, DIAGNOSTIC, isBareCoap, isPacket, isWhole } from "../../wire/serial/slipmux.ts";
import { printable } from "../printable.ts";
import { counted } from "./frame-text.ts";
import { type Judgement, judgement, type Reading } from "./reading.ts";

const FRAME_BYTES_MAX = 8192;
const TYPES = ["CON", "NON", "ACK", "RST"];
const METHODS = ["", "GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "iPATCH"];
const HEADER = new CoapHeader();

export function coapReading(framing: "slipmux" | "coap"): Reading {
  const decoder = new SlipDecoder({ frameBytesMax: FRAME_BYTES_MAX }, null);
  if (framing === "coap") return { decoder, name: "slip, CoAP", strength: "weak", judge: judgeBare };
  return { decoder, name: "slipmux", strength: "strong", judge: judgeSlipmux };
}

/** draft-bormann-t2trg-slipmux sections 3 to 5. */
function judgeSlipmux(frame: Buffer): Judgement {
  const first = frame[0] as number;
  if (first === DIAGNOSTIC) return judgement("unchecked", "text for people");
  if (isPacket(first)) return judgement("unchecked", first < 0x60 ? "an IPv4 packet" : "an IPv6 packet");
  if (first !== COAP) {
    const bare = isBareCoap(first) ? ", the first of CoAP without slipmux: try --framing coap" : "";
    return judgement("malformed", `slipmux has no frames that begin with ${frame.toString("hex", 0, 1)}${bare}`);
  }
  if (!isWhole(frame, 0, frame.length)) return judgement("check", "CoAP whose FCS is wrong");
  return judgeCoap(frame.subarray(1, -2));
}

function judgeBare(frame: Buffer): Judgement {
  const first = frame[0] as number;
  if (first === DIAGNOSTIC) return judgement("unchecked", "text for people");
  if (isBareCoap(first)) return judgeCoap(frame);
  const isSlipmux = first === COAP && isWhole(frame, 0, frame.length);
  return judgement("malformed", isSlipmux ? "no bare CoAP, but slipmux: try --framing slipmux" : "no CoAP");
}

/** "CON PUT mid 1a2b token 0a /ps/plant/a?qos=1 observe 0, 4 bytes" @see RFC 7252 section 3 */
function judgeCoap(message: Buffer): Judgement {
  const header = HEADER;
  if (readHeader(message, header) !== OK) return judgement("malformed", "no CoAP message");
  const { type, code, messageId, tokenLength } = header;
  const optionsAt = HEADER_BYTES + tokenLength;
  const { words, payloadBytes } = coapOptions(message, optionsAt);
  const token = tokenLength === 0 ? "" : `token ${message.toString("hex", HEADER_BYTES, optionsAt)}`;
  const payload = payloadBytes === 0 ? "" : `, ${counted(payloadBytes, "byte")}`;
  const parts = ["CoAP", TYPES[type], codeWords(type, code), `mid ${hex4(messageId)}`, token, words];
  return judgement("ok", printable(parts.filter((part) => part !== "").join(" ")) + payload);
}

function codeWords(type: number, code: number): string {
  if (code === 0) return type === 0 ? "ping" : "empty";
  return isRequest(code) ? (METHODS[code] ?? codeText(code)) : codeText(code);
}

function hex4(number: number): string {
  return number.toString(16).padStart(4, "0");
}
