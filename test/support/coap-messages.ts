// CoAP messages as bytes, by npm's codec, which is not the gateway's reader of the header.
import { generate, type Packet, parse } from "coap-packet";

export interface Response {
  code: string;
  type: "CON" | "NON" | "ACK" | "RST";
  messageId: number;
  token: string;
  payload: string;
  options: Map<string, Buffer>;
}

/** @param path as in a URI, with an optional query; segments and arguments are percent-decoded */
export function requestOf(packet: Packet, path: string): Buffer {
  const [segments, query] = path.split("?") as [string, string | undefined];
  const options = [...(packet.options ?? [])];
  for (const segment of segments.split("/").slice(1)) {
    options.push({ name: "Uri-Path", value: Buffer.from(decodeURIComponent(segment)) });
  }
  for (const argument of query?.split("&") ?? []) {
    options.push({ name: "Uri-Query", value: Buffer.from(decodeURIComponent(argument)) });
  }
  return generate({ code: "GET", ...packet, options }, 65_000);
}

/** Any message, as its fields. */
export function responseOf(bytes: Buffer): Response {
  const packet = parse(bytes);
  return {
    code: packet.code,
    type: packet.confirmable ? "CON" : packet.ack ? "ACK" : packet.reset ? "RST" : "NON",
    messageId: packet.messageId,
    token: packet.token.toString("hex"),
    payload: packet.payload.toString(),
    options: new Map(packet.options.map((option) => [String(option.name), option.value])),
  };
}

/** The payload of a message as it is. */
export function bodyOf(message: Buffer): Buffer {
  return parse(message).payload;
}

/** The value of an uint option: Observe, Max-Age, Size2, ... @returns undefined when the option is not there */
export function uintOption({ options }: Response, name: string): number | undefined {
  return options.get(name)?.reduce((value, byte) => value * 256 + byte, 0);
}

/** As the least bytes (RFC 7252 section 3.2). */
export function uintBytes(value: number): Buffer {
  const hex = value === 0 ? "" : value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
}

/** Block1's or Block2's value (RFC 7959 section 2.2). @param szx the block is 16 << szx bytes */
export function blockBytes(num: number, more: boolean, szx: number): Buffer {
  return uintBytes(num * 16 + (more ? 8 : 0) + szx);
}
