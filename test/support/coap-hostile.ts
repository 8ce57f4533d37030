// Datagrams for a CoAP server: messages of every kind that is spoken here, what is wrong on purpose, and by a seed
// whatever grows from them by changes that know the format and changes that do not.
import { generate, type Packet } from "coap-packet";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { blockBytes, requestOf, uintBytes } from "./coap-messages.ts";

const TOKEN = Buffer.from("c0ffee", "hex");

/** `name: bytes` of well-formed messages; each has a Message ID of its own. */
export function validMessages(): ReadonlyMap<string, Buffer> {
  let messageId = 0x1000;
  const messages = new Map<string, Buffer>();
  const add = (name: string, path: string, packet: Packet = {}) =>
    messages.set(name, requestOf({ confirmable: true, token: TOKEN, messageId: ++messageId, ...packet }, path));
  const option = (name: string, value: Buffer | string) => ({ name, value: Buffer.from(value) });
  add("GET", "/ps/a");
  add("GET without token", "/ps/a", { token: Buffer.alloc(0) });
  add("NON GET", "/ps/a", { confirmable: false });
  add("GET with Accept and ETag", "/ps/a", { options: [option("Accept", uintBytes(50)), option("ETag", "12345678")] });
  add("GET a block", "/ps/a", { options: [option("Block2", blockBytes(1, false, 2))] });
  add("observe", "/ps/a/+", { options: [option("Observe", "")] });
  add("observe no more", "/ps/a/+", { options: [option("Observe", uintBytes(1))] });
  add("PUT", "/ps/a?qos=1&retain=true&expiry=60", { code: "PUT", payload: Buffer.from("21.5") });
  add("NON PUT", "/ps/a", { code: "PUT", confirmable: false, payload: Buffer.from("21.5") });
  add("PUT of a format, under conditions", "/ps/a", {
    code: "PUT",
    options: [option("If-Match", "etag"), option("Content-Format", uintBytes(60)), option("If-None-Match", "")],
    payload: Buffer.from("x"),
  });
  add("PUT without an answer", "/ps/a", {
    code: "PUT",
    options: [option("258", uintBytes(26))],
    payload: Buffer.of(1),
  });
  add("first block of a PUT", "/ps/a", {
    code: "PUT",
    options: [option("Block1", blockBytes(0, true, 0)), option("Size1", uintBytes(40)), option("292", "tag")],
    payload: Buffer.alloc(16, "b"),
  });
  add("POST", "/mqtt/publish/a/b?clientid=d1&username=anna&password=secret", { code: "POST", payload: Buffer.of(0) });
  add("connection", "/mqtt/connection?clientid=d1", { code: "POST" });
  add("end of a connection", "/mqtt/connection?clientid=d1&token=t", { code: "DELETE" });
  add("DELETE", "/ps/a", { code: "DELETE" });
  add("FETCH", "/ps/a", { code: "0.05", payload: Buffer.from("{}") });
  add("discovery", "/.well-known/core?rt=core.ps", { options: [option("Uri-Host", "gw.local")] });
  add("health", "/health", { options: [option("Uri-Port", uintBytes(5683)), option("252", "fresh?")] });
  add("long names", `/ps/${"l".repeat(20)}/${"m".repeat(255)}?${"q".repeat(200)}=1`, {
    code: "PUT",
    payload: Buffer.of(9),
  });
  add("unknown elective options", "/ps/a", { options: [option("2050", "?"), option("65002", "!".repeat(300))] });
  add("unknown critical option", "/ps/a", { options: [option("2051", "?")] });
  for (const [name, packet] of Object.entries<Packet>({
    ping: { code: "0.00", confirmable: true },
    "Empty NON": { code: "0.00" },
    ACK: { code: "0.00", ack: true },
    RST: { code: "0.00", reset: true },
    "response nobody asked for": { code: "2.05", confirmable: true, token: TOKEN, payload: Buffer.from("here") },
    "NON response": { code: "2.05", token: TOKEN },
    "ACK with a response": { code: "2.04", ack: true, token: TOKEN },
  })) {
    messages.set(name, generate({ messageId: ++messageId, ...packet }));
  }
  return messages;
}

/** `name: bytes` of what is wrong, or more than anybody needs, each on purpose. */
export function wrongMessages(): ReadonlyMap<string, Buffer> {
  const messages = new Map<string, Buffer>();
  const add = (name: string, hex: string, ...rest: Buffer[]) =>
    messages.set(name, Buffer.concat([Buffer.from(hex.replaceAll(" ", ""), "hex"), ...rest]));
  const ps = "b2 7073 01 61";
  add("nothing", "");
  add("a zero", "00");
  add("half a header", "400100");
  for (const version of [0, 2, 3])
    add(`version ${version}`, `${((version << 6) | 0x02).toString(16).padStart(2, "0")} 01 2001 aabb`);
  for (let length = 9; length <= 15; length++) {
    for (const [type, first] of [
      ["CON", 4],
      ["NON", 5],
      ["ACK", 6],
      ["RST", 7],
    ] as const) {
      add(
        `${type} with a token of ${length} bytes`,
        `${first}${length.toString(16)} 03 21${first}${length.toString(16)}`,
        Buffer.alloc(length, 1),
        Buffer.from("b2707301", "hex"),
        Buffer.from("61ff31", "hex"),
      );
    }
  }
  for (let code = 0; code < 256; code++) {
    const hex = code.toString(16).padStart(2, "0");
    for (const first of [4, 5, 6, 7]) add(`code ${hex}, type ${first - 4}`, `${first}0 ${hex} 22${hex}`);
    for (const first of [4, 5, 6, 7])
      add(`code ${hex}, type ${first - 4}, more behind`, `${first}1 ${hex} 23${hex} 77 ${ps}`);
  }
  for (const [name, options] of Object.entries({
    "delta 15": "f0",
    "length 15": "bf",
    "delta 15, length 15 which is no marker": "fe",
    "delta runs over by its extension": "e0 ffff e0 ffff",
    "delta runs over by little steps": "e0 fef2 d0 ff",
    "the greatest number": "e0 fef2",
    "delta extension cut off": "d0",
    "delta extension half there": "e0 01",
    "length extension cut off": "bd",
    "length extension half there": "be 01",
    "length of 65,804": "be ffff 61",
    "length longer than the rest": "b5 61",
    "both extended, nothing behind": "ee ffff ffff",
    "marker without payload": `${ps} ff`,
    "Block1 of number 1048575": `${ps} d1 03 ff`.replace("d1 03 ff", "d3 03 ffffff"),
    "Block1 of number 1048575, SZX 6": `${ps} d3 03 fffffe ff 61`,
    "Block1 of number 1048575 is the last": `${ps} d3 03 fffff6 ff 61`,
    "Block1 of SZX 7": `${ps} d1 03 0f ff 61`,
    "Block1 of four bytes": `${ps} d4 03 00000008 ff 61`,
    "Block1 twice": `${ps} d1 03 08 01 08 ff 61`,
    "Block2 of number 1048575": `${ps} c3 fffff6`,
    "Block2 of SZX 7": `${ps} c1 07`,
    "Block2 of four bytes": `${ps} c4 00000000`,
    "Block1 and Block2": `${ps} c1 06 41 08 ff 61`,
    "Observe of four bytes": `64 00000000 52 7073 01 61`,
    "Uri-Port twice": `71 16 01 16 42 7073 01 61`,
    "Accept of three bytes": `${ps} 63 000032`,
    "Uri-Host of nothing": `30 82 7073 01 61`,
    "Uri-Path is no UTF-8": "b2 7073 03 ff80fe",
    "Uri-Query is no UTF-8": `${ps} 43 ff3d80`,
    "Uri-Path is dots": "b2 7073 02 2e2e 01 2e",
    "Uri-Path with NUL": "b2 7073 03 610062",
    "Proxy-Uri": `d8 16 ${Buffer.from("coap://a").toString("hex")}`,
    "If-None-Match with a value": "51 61 62 7073 01 61",
  })) {
    for (const [type, first] of [
      ["CON", 4],
      ["NON", 5],
    ] as const) {
      for (const code of ["01", "03"])
        add(
          `${type} ${code}: ${name}`,
          `${first}1 ${code} 24${(messages.size & 0xff).toString(16).padStart(2, "0")} 33 ${options}`,
        );
    }
  }
  for (const count of [255, 256, 257, 1000, 60_000]) {
    add(`${count} options`, "40 01 2501", Buffer.from("b27073", "hex"), Buffer.alloc(count, 0));
    add(
      `${count} queries`,
      "50 03 2502",
      Buffer.from("b2707301614161", "hex"),
      ...Array(Math.min(count, 30_000)).fill(Buffer.from("0161", "hex")),
    );
  }
  for (const first of ["40 03 2601", "50 03 2602", "60 44 2603", "70 00 2604", "80 03 2605"]) {
    add(`64 KiB: ${first}`, `${first} ${ps} ff`, Buffer.alloc(65_507 - 11, "x"));
    add(`64 KiB of ff: ${first}`, first, Buffer.alloc(65_507 - 4, 0xff));
    add(`64 KiB of 0: ${first}`, first, Buffer.alloc(65_507 - 4, 0));
  }
  return messages;
}

/** Endless and the same for a seed. */
export class Mutations {
  readonly #random: Random;
  readonly #seeds: readonly Buffer[];

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    const wrong = [...wrongMessages()].filter(([name, { length }]) => length < 1000 && !name.startsWith("code "));
    this.#seeds = [...validMessages().values(), ...validMessages().values(), ...wrong.map(([, bytes]) => bytes)];
  }

  next(): Buffer {
    let datagram: Buffer<ArrayBuffer> = Buffer.from(this.#pick(this.#seeds));
    for (let changes = this.#below(4); changes >= 0; changes--) datagram = this.#change(datagram);
    // Most become requests with a token that may be, so that what is behind the header is reached.
    if (datagram.length > 1 && this.#below(4) > 0) {
      datagram[0] = 0x40 | (this.#below(2) << 4) | Math.min(8, (datagram[0] as number) & 0x0f);
      if (this.#below(8) > 0) datagram[1] = this.#pick([1, 1, 2, 3, 3, 3, 4, 5]);
    }
    return datagram;
  }

  #change(datagram: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
    const at = this.#below(datagram.length + 1);
    const head = datagram.subarray(0, at);
    const tail = datagram.subarray(at);
    switch (this.#below(10)) {
      case 0: // a bit
        if (at < datagram.length) datagram[at] = (datagram[at] as number) ^ (1 << this.#below(8));
        return datagram;
      case 1: // a byte
        if (at < datagram.length) datagram[at] = this.#byte();
        return datagram;
      case 2: // in between
        return Buffer.concat([head, Buffer.from(Array.from({ length: 1 + this.#below(4) }, () => this.#byte())), tail]);
      case 3: // out of the middle
        return Buffer.concat([head, tail.subarray(1 + this.#below(4))]);
      case 4: // the end
        return Buffer.from(head);
      case 5: // something twice
        return Buffer.concat([head, tail.subarray(0, this.#below(12)), tail]);
      case 6: // the end of another
        return Buffer.concat([head, this.#tailOf(this.#pick(this.#seeds))]);
      case 7: // token length and code
        if (datagram.length < 2) return datagram;
        datagram[0] = 0x40 | this.#below(64);
        if (this.#below(2) === 0) datagram[1] = this.#below(6);
        return datagram;
      default: // an option more, before the payload or anywhere
        return Buffer.concat([head, this.#option(), tail]);
    }
  }

  /** Any delta, one that leads to a known option often; its length is right, mostly. */
  #option(): Buffer {
    const delta = this.#pick([0, 0, 1, 2, 4, 6, 8, 12, 13, 16, 27, 252, 258, 292, this.#below(70_000)]);
    const length = this.#pick([0, 1, 1, 2, 3, 4, 8, 9, 13, 40, this.#below(300)]);
    const [deltaNibble, deltaBytes] = nibble(delta);
    const [lengthNibble, lengthBytes] = nibble(length);
    const told = this.#below(6) === 0 ? this.#below(16) : lengthNibble;
    const value = Buffer.from(Array.from({ length }, () => this.#byte()));
    return Buffer.concat([Buffer.of((deltaNibble << 4) | told), deltaBytes, lengthBytes, value]);
  }

  #tailOf(message: Buffer): Buffer {
    return message.subarray(this.#below(message.length + 1));
  }

  #byte(): number {
    return this.#pick([0x00, 0x0d, 0x0e, 0x61, 0xb2, 0xd0, 0xe0, 0xf0, 0xff, this.#below(256)]);
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#below(list.length)] as T;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}

/** RFC 7252 section 3.1. */
function nibble(value: number): [number, Buffer] {
  if (value < 13) return [value, Buffer.alloc(0)];
  if (value < 269) return [13, Buffer.of(value - 13)];
  const extension = Buffer.alloc(2);
  extension.writeUInt16BE((value - 269) & 0xffff);
  return [14, extension];
}
