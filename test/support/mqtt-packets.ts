// MQTT packets by hand, for tests that must not trust the product's codec: bytes to send, and what came back.
// Only what tests need: properties are written as raw bytes, and read only where a test looks at them.

export type Version = 4 | 5;

export const CONNECT = 1;
export const CONNACK = 2;
export const PUBLISH = 3;
export const PUBACK = 4;
export const PUBREC = 5;
export const PUBREL = 6;
export const PUBCOMP = 7;
export const SUBSCRIBE = 8;
export const SUBACK = 9;
export const UNSUBSCRIBE = 10;
export const UNSUBACK = 11;
export const PINGREQ = 12;
export const PINGRESP = 13;
export const DISCONNECT = 14;
export const AUTH = 15;

export interface Packet {
  readonly type: number;
  readonly flags: number;
  /** Everything after the Remaining Length. */
  readonly body: Buffer;
}

export interface Publish {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly dup: boolean;
  /** 0 at QoS 0. */
  readonly packetId: number;
}

export interface Ack {
  readonly packetId: number;
  /** 0 when the packet has none. */
  readonly reason: number;
}

/** Parts of a packet: a number is one byte, a string its UTF-8 bytes without a length. */
export type Part = number | string | readonly number[] | Buffer;

export function bytes(...parts: Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) => (typeof part === "number" ? Buffer.from([part]) : Buffer.from(part as Buffer))),
  );
}

/** Two bytes, high one first. */
export function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

export function u32(value: number): Buffer {
  return bytes(u16(value >>> 16), u16(value & 0xffff));
}

/** A string or binary with its length in front. */
export function field(value: string | Buffer): Buffer {
  const content = Buffer.from(value as string);
  return bytes(u16(content.length), content);
}

/** A Variable Byte Integer. */
export function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  do {
    out.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return Buffer.from(out);
}

export function packet(type: number, flags: number, ...parts: Part[]): Buffer {
  const body = bytes(...parts);
  return bytes((type << 4) | flags, varint(body.length), body);
}

/** A block of properties with its length, in 5.0; nothing before. */
export function properties(version: Version, ...parts: Part[]): Buffer {
  const block = bytes(...parts);
  return version === 5 ? bytes(varint(block.length), block) : Buffer.alloc(0);
}

export interface ConnectFields {
  readonly version: Version;
  readonly clientId: string;
  readonly clean?: boolean;
  /** Session Expiry Interval, 5.0 only. */
  readonly expirySeconds?: number;
  readonly keepAliveSeconds?: number;
  readonly user?: string;
  readonly password?: string;
  /** More properties, 5.0 only. */
  readonly properties?: readonly Part[];
  readonly will?: {
    readonly topic: string;
    readonly payload: string;
    readonly qos: number;
    readonly retain: boolean;
    /** 5.0 only. */
    readonly properties?: readonly Part[];
  };
}

export function connect(fields: ConnectFields): Buffer {
  const { version, clientId, clean = true, expirySeconds = 0, keepAliveSeconds = 60, user, password, will } = fields;
  const flags =
    (clean ? 2 : 0) |
    (will === undefined ? 0 : 4 | (will.qos << 3) | (will.retain ? 0x20 : 0)) |
    (password === undefined ? 0 : 0x40) |
    (user === undefined ? 0 : 0x80);
  return packet(
    CONNECT,
    0,
    bytes(field("MQTT"), version, flags, u16(keepAliveSeconds)),
    properties(version, ...(expirySeconds > 0 ? [0x11, u32(expirySeconds)] : []), ...(fields.properties ?? [])),
    field(clientId),
    will === undefined
      ? ""
      : bytes(properties(version, ...(will.properties ?? [])), field(will.topic), field(will.payload)),
    user === undefined ? "" : field(user),
    password === undefined ? "" : field(password),
  );
}

export function publish(
  version: Version,
  message: Partial<Publish> & { topic: string },
  ...publishProperties: Part[]
): Buffer {
  const { topic, payload = "", qos = 0, retain = false, dup = false, packetId = 0 } = message;
  const flags = (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  return packet(
    PUBLISH,
    flags,
    field(topic),
    qos > 0 ? u16(packetId) : "",
    properties(version, ...publishProperties),
    payload,
  );
}

/** PUBACK, PUBREC, PUBREL, PUBCOMP with success. */
export function ack(type: number, packetId: number): Buffer {
  return packet(type, type === PUBREL ? 2 : 0, u16(packetId));
}

export function subscribe(version: Version, packetId: number, ...filters: [filter: string, qos: number][]): Buffer {
  const entries = filters.map(([filter, qos]) => bytes(field(filter), qos));
  return packet(SUBSCRIBE, 2, u16(packetId), properties(version), ...entries);
}

export function unsubscribe(version: Version, packetId: number, ...filters: string[]): Buffer {
  return packet(UNSUBSCRIBE, 2, u16(packetId), properties(version), ...filters.map((filter) => field(filter)));
}

export function disconnect(): Buffer {
  return packet(DISCONNECT, 0);
}

export function pingreq(): Buffer {
  return packet(PINGREQ, 0);
}

export function readPublish(version: Version, { flags, body }: Packet): Publish {
  const qos = (flags >> 1) & 3;
  const topicEnd = 2 + body.readUInt16BE(0);
  let at = topicEnd + (qos > 0 ? 2 : 0);
  if (version === 5) {
    const block = readVarint(body, at);
    at = block.next + block.value;
  }
  return {
    topic: body.toString("utf8", 2, topicEnd),
    payload: body.toString("utf8", at),
    qos,
    retain: (flags & 1) !== 0,
    dup: (flags & 8) !== 0,
    packetId: qos > 0 ? body.readUInt16BE(topicEnd) : 0,
  };
}

export function readAck({ body }: Packet): Ack {
  return { packetId: body.readUInt16BE(0), reason: body[2] ?? 0 };
}

/** Reason codes of a SUBACK. */
export function readSuback(version: Version, { body }: Packet): number[] {
  if (version === 4) return [...body.subarray(2)];
  const block = readVarint(body, 2);
  return [...body.subarray(block.next + block.value)];
}

/** [identifier, value]: a number, the text of a string or of binary data, or name and value of a User Property. */
export type Property = readonly [id: number, value: number | string | readonly [name: string, value: string]];

export interface Connack {
  readonly sessionPresent: boolean;
  readonly reason: number;
  /** None before 5.0. */
  readonly properties: readonly Property[];
}

export function readConnack({ body }: Packet): Connack {
  const properties = body.length > 2 ? readProperties(body, 2) : [];
  return { sessionPresent: ((body[0] ?? 0) & 1) !== 0, reason: body[1] ?? 0, properties };
}

/** The properties of a PUBLISH of 5.0. */
export function readPublishProperties({ flags, body }: Packet): Property[] {
  return readProperties(body, 2 + body.readUInt16BE(0) + (flags & 6 ? 2 : 0));
}

const BYTE_PROPERTIES = new Set([0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a]);
const TWO_BYTE_PROPERTIES = new Set([0x13, 0x21, 0x22, 0x23]);
const FOUR_BYTE_PROPERTIES = new Set([0x02, 0x11, 0x18, 0x27]);

/** The block of properties at `from`, in order. */
export function readProperties(body: Buffer, from: number): Property[] {
  const block = readVarint(body, from);
  const end = block.next + block.value;
  const out: Property[] = [];
  let at = block.next;
  const text = (): string => {
    const start = at + 2;
    at = start + body.readUInt16BE(at);
    return body.toString("utf8", start, at);
  };
  const number = (bytes: number): number => {
    at += bytes;
    return body.readUIntBE(at - bytes, bytes);
  };
  while (at < end) {
    const id = number(1);
    if (BYTE_PROPERTIES.has(id)) out.push([id, number(1)]);
    else if (TWO_BYTE_PROPERTIES.has(id)) out.push([id, number(2)]);
    else if (FOUR_BYTE_PROPERTIES.has(id)) out.push([id, number(4)]);
    else if (id === 0x26) out.push([id, [text(), text()]]);
    else if (id === 0x0b) {
      const { value, next } = readVarint(body, at);
      at = next;
      out.push([id, value]);
    } else out.push([id, text()]);
  }
  if (at !== end) throw new Error("properties that do not end where their length says");
  return out;
}

function readVarint(from: Buffer, at: number): { value: number; next: number } {
  let value = 0;
  for (let i = 0; i < 4; i++) {
    const byte = from[at + i] as number;
    value += (byte & 0x7f) * 128 ** i;
    if (byte < 0x80) return { value, next: at + i + 1 };
  }
  throw new Error("a Variable Byte Integer of more than four bytes");
}

/** Cuts a stream into packets. */
export class PacketReader {
  #rest: Buffer = Buffer.alloc(0);

  *read(chunk: Buffer): Generator<Packet> {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (;;) {
      const header = headerAt(this.#rest, at);
      if (header === null || this.#rest.length < header.end) break;
      const first = this.#rest[at] as number;
      at = header.end;
      yield { type: first >> 4, flags: first & 0x0f, body: this.#rest.subarray(header.bodyAt, header.end) };
    }
    this.#rest = this.#rest.subarray(at);
  }
}

/** null while it is not whole. */
function headerAt(from: Buffer, at: number): { bodyAt: number; end: number } | null {
  for (let i = at + 1; i < Math.min(from.length, at + 5); i++) {
    if ((from[i] as number) >= 0x80) continue;
    const { value, next } = readVarint(from, at + 1);
    return { bodyAt: next, end: next + value };
  }
  return null;
}
