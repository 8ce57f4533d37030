/**
 * CoAP messages as bytes, written and read by hand from RFC 7252 section 3, for tests that must not trust the product's
 * codec. Reading is strict: what the RFC calls a message format error throws.
 */
export const CON = 0;
export const NON = 1;
export const ACK = 2;
export const RST = 3;
const TYPES = ["CON", "NON", "ACK", "RST"] as const;

export const EMPTY = 0;
export const GET = 1;
export const POST = 2;
export const PUT = 3;
export const DELETE = 4;
export const FETCH = 5;
export const PATCH = 6;
export const IPATCH = 7;

/** The numbers of options that tests name. */
export const Option = {
  IfMatch: 1,
  UriHost: 3,
  ETag: 4,
  IfNoneMatch: 5,
  Observe: 6,
  UriPort: 7,
  LocationPath: 8,
  UriPath: 11,
  ContentFormat: 12,
  MaxAge: 14,
  UriQuery: 15,
  Accept: 17,
  LocationQuery: 20,
  Block2: 23,
  Block1: 27,
  Size2: 28,
  ProxyUri: 35,
  ProxyScheme: 39,
  Size1: 60,
  Echo: 252,
  NoResponse: 258,
  RequestTag: 292,
} as const;

/** A number is written as a uint in its shortest form. */
export type Value = Uint8Array | string | number;
export type OptionField = readonly [number: number, value: Value];

export interface Fields {
  readonly type?: number;
  /** GET unless given. */
  readonly code?: number;
  readonly id?: number;
  readonly token?: Uint8Array | string;
  /** In any order; those of one number keep theirs. */
  readonly options?: readonly OptionField[];
  /** None, and no payload marker, when absent. */
  readonly payload?: Uint8Array | string;
}

export interface Message {
  readonly type: (typeof TYPES)[number];
  /** `c.dd` */
  readonly code: string;
  readonly id: number;
  /** In hex. */
  readonly token: string;
  readonly options: readonly (readonly [number: number, value: Buffer])[];
  readonly payload: Buffer;
  readonly bytes: Buffer;
}

export function message(fields: Fields): Buffer {
  const { type = CON, code = GET, id = 0, token = "", options = [], payload } = fields;
  const tokenBytes = Buffer.from(token);
  const parts: Uint8Array[] = [
    Buffer.from([0x40 | (type << 4) | tokenBytes.length, code, id >> 8, id & 0xff]),
    tokenBytes,
  ];
  let previous = 0;
  for (const [number, value] of options.toSorted(([a], [b]) => a - b)) {
    parts.push(option(number - previous, valueBytes(value)));
    previous = number;
  }
  if (payload !== undefined) parts.push(Buffer.from([0xff]), Buffer.from(payload));
  return Buffer.concat(parts);
}

/** One option of a message. @param delta from the number of the one before */
export function option(delta: number, value: Uint8Array): Buffer {
  const [d, deltaBytes] = extended(delta);
  const [l, lengthBytes] = extended(value.length);
  return Buffer.concat([Buffer.from([(d << 4) | l, ...deltaBytes, ...lengthBytes]), value]);
}

function extended(number: number): [nibble: number, bytes: number[]] {
  if (number < 13) return [number, []];
  if (number < 269) return [13, [number - 13]];
  return [14, [(number - 269) >> 8, (number - 269) & 0xff]];
}

function valueBytes(value: Value): Uint8Array {
  if (typeof value !== "number") return Buffer.from(value);
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest & 0xff);
  return Buffer.from(bytes);
}

/** A path and a query, percent-encoded as in a URI, as options (RFC 7252 section 6.4). */
export function uri(text: string): OptionField[] {
  const [path = "", query] = text.split("?") as [string, string | undefined];
  const segments = path.split("/").slice(1);
  return [
    ...segments.map((segment) => [Option.UriPath, decodeURIComponent(segment)] as const),
    ...(query?.split("&") ?? []).map((argument) => [Option.UriQuery, decodeURIComponent(argument)] as const),
  ];
}

/** `c.dd` as the byte. */
export function code(text: string): number {
  return Number(text.slice(0, 1)) * 32 + Number(text.slice(2));
}

export function readMessage(bytes: Buffer): Message {
  if (bytes.length < 4) throw new Error(`${bytes.length} bytes are no message`);
  const first = bytes[0]!;
  if (first >> 6 !== 1) throw new Error(`version ${first >> 6}`);
  const tokenLength = first & 15;
  if (tokenLength > 8) throw new Error(`a token of ${tokenLength} bytes`);
  const codeByte = bytes[1]!;
  if (codeByte === EMPTY && bytes.length > 4) throw new Error("an Empty message with bytes behind the Message ID");
  const options: [number, Buffer][] = [];
  let number = 0;
  let at = 4 + tokenLength;
  const take = (count: number): Buffer => {
    if (at + count > bytes.length) throw new Error("cut off");
    at += count;
    return bytes.subarray(at - count, at);
  };
  const length = (nibble: number): number => {
    if (nibble === 15) throw new Error("15 is reserved");
    if (nibble === 13) return take(1)[0]! + 13;
    return nibble === 14 ? take(2).readUInt16BE() + 269 : nibble;
  };
  while (at < bytes.length && bytes[at] !== 0xff) {
    const head = take(1)[0]!;
    number += length(head >> 4);
    options.push([number, Buffer.from(take(length(head & 15)))]);
  }
  if (at > bytes.length) throw new Error("cut off");
  if (at === bytes.length - 1) throw new Error("a payload marker without payload");
  return {
    type: TYPES[(first >> 4) & 3]!,
    code: `${codeByte >> 5}.${String(codeByte & 31).padStart(2, "0")}`,
    id: bytes.readUInt16BE(2),
    token: bytes.subarray(4, 4 + tokenLength).toString("hex"),
    options,
    payload: bytes.subarray(at + 1),
    bytes,
  };
}

/** All values of an option, in order. */
export function optionsOf({ options }: Message, number: number): Buffer[] {
  return options.filter(([one]) => one === number).map(([, value]) => value);
}

export function optionOf(read: Message, number: number): Buffer | undefined {
  return optionsOf(read, number)[0];
}

/** The option as a uint; undefined when it is absent. */
export function uintOf(read: Message, number: number): number | undefined {
  const value = optionOf(read, number);
  return value?.reduce((sum, byte) => sum * 256 + byte, 0);
}

export interface Block {
  readonly num: number;
  readonly more: boolean;
  /** 16 << szx bytes. */
  readonly szx: number;
}

/** Block1 or Block2 of a message (RFC 7959 section 2.2). */
export function blockOf(read: Message, number: number): Block | undefined {
  const value = uintOf(read, number);
  return value === undefined ? undefined : { num: value >>> 4, more: (value & 8) !== 0, szx: value & 7 };
}

export function blockValue(num: number, more: boolean, szx: number): number {
  return num * 16 + (more ? 8 : 0) + szx;
}
