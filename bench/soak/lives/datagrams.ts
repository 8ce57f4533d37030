/** CoAP requests: confirmable and not, repeated, malformed, without waiting for the answer. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import type { Live } from "../crowd.ts";
import { below, oneOf } from "../world.ts";

export const CON = 0;
const NON = 1;
export const GET = 1;
const POST = 2;
const PUT = 3;
const DELETE = 4;
const URI_PATH = 11;
const URI_QUERY = 15;
const ANSWER_MS_MAX = 300;

/** A request with a token of two bytes. @see RFC 7252 section 3 */
export function coapRequest(type: number, code: number, messageId: number, uri: string, payload = ""): Buffer {
  const [path = "", query = ""] = uri.split("?");
  const options: [number, string][] = [
    ...path.split("/").map((segment): [number, string] => [URI_PATH, segment]),
    ...(query === "" ? [] : query.split("&").map((part): [number, string] => [URI_QUERY, part])),
  ];
  const id = [messageId >> 8, messageId & 255];
  const parts = [Buffer.from([0x42 | (type << 4), code, ...id, ...id])];
  let last = 0;
  for (const [number, value] of options) {
    const length = value.length < 13 ? [value.length] : [13, value.length - 13];
    parts.push(Buffer.from([((number - last) << 4) | length[0]!, ...length.slice(1)]), Buffer.from(value));
    last = number;
  }
  if (payload !== "") parts.push(Buffer.from([0xff]), Buffer.from(payload));
  return Buffer.concat(parts);
}

export const beacon: Live = async (world, random) => {
  const socket = createSocket("udp4");
  socket.on("error", () => {});
  const n = world.next();
  const topic = `ps/beacon/${n}`;
  let messageId = below(random, 65_000);
  const requests = [
    coapRequest(CON, PUT, messageId++, `${topic}?retain=true`, "21.5"),
    coapRequest(CON, GET, messageId++, topic),
    coapRequest(NON, POST, messageId++, `${topic}?qos=${below(random, 3)}`, "22"),
    coapRequest(CON, PUT, messageId++, `${topic}/${"long/".repeat(below(random, 9))}x?qos=1&expiry=1`, "23"),
    coapRequest(CON, GET, messageId++, oneOf(random, [".well-known/core", "health", "nowhere"])),
    coapRequest(CON, DELETE, messageId++, topic),
  ];
  for (const request of requests) {
    const copies = 1 + below(random, 2);
    for (let i = 0; i < copies; i++) socket.send(request, world.ports.coap, "127.0.0.1");
    await answerOf(socket);
    if (below(random, 10) === 0)
      socket.send(request.subarray(0, below(random, request.length)), world.ports.coap, "127.0.0.1");
  }
  await new Promise<void>((resolve) => socket.close(() => resolve()));
};

async function answerOf(socket: ReturnType<typeof createSocket>): Promise<void> {
  await once(socket, "message", { signal: AbortSignal.timeout(ANSWER_MS_MAX) }).catch(() => {});
}
