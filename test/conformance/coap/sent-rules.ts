/** What holds for every message that the gateway sends, whatever it answers. The strict reader has checked its form. */
import { isUtf8 } from "node:buffer";
import { type Message, Option, optionsOf, uintOf } from "./bytes.ts";

/** Sections 3.2 and 5.10, RFC 7641 section 2, RFC 7959 sections 2.1 and 4, RFC 9175 section 2.2. */
const LENGTHS: ReadonlyMap<number, readonly [least: number, most: number]> = new Map([
  [Option.ETag, [1, 8]],
  [Option.Observe, [0, 3]],
  [Option.LocationPath, [0, 255]],
  [Option.ContentFormat, [0, 2]],
  [Option.MaxAge, [0, 4]],
  [Option.LocationQuery, [0, 255]],
  [Option.Block2, [0, 3]],
  [Option.Block1, [0, 3]],
  [Option.Size2, [0, 4]],
  [Option.Size1, [0, 4]],
  [Option.Echo, [1, 40]],
]);
const REPEATABLE: readonly number[] = [Option.LocationPath, Option.LocationQuery];
const UINTS: readonly number[] = [
  Option.Observe,
  Option.ContentFormat,
  Option.MaxAge,
  Option.Block2,
  Option.Block1,
  Option.Size2,
  Option.Size1,
];
/** RFC 7252 section 4.6. */
export const MESSAGE_BYTES_MAX = 1152;
export const PAYLOAD_BYTES_MAX = 1024;

/** Sentences; none when the message keeps all rules. */
export function complaintsAbout(read: Message): string[] {
  const out: string[] = [];
  const isEmpty = read.code === "0.00";
  if (read.type === "NON" && isEmpty) out.push("an Empty NON");
  if (read.type === "RST" && !isEmpty) out.push("an RST that is not Empty");
  if (!isEmpty && !/^[245]\./.test(read.code)) out.push(`${read.code} is neither Empty nor a response`);
  if (read.bytes.length > MESSAGE_BYTES_MAX) out.push(`${read.bytes.length} bytes in one datagram`);
  if (read.payload.length > PAYLOAD_BYTES_MAX) out.push(`${read.payload.length} bytes of payload`);
  for (const number of new Set(read.options.map(([one]) => one))) out.push(...complaintsAboutOption(read, number));
  // In a notification it names the topic of a wildcard's value: an elective option that clients may pass over.
  const isNotification = optionsOf(read, Option.Observe).length > 0;
  const hasLocation = [Option.LocationPath, Option.LocationQuery].some((number) => optionsOf(read, number).length > 0);
  if (hasLocation && read.code !== "2.01" && !isNotification) out.push(`a location in a ${read.code}`);
  const isError = /^[45]\./.test(read.code);
  const says = optionsOf(read, Option.ContentFormat).length > 0;
  if (isError && !says && !isUtf8(read.payload)) out.push("a diagnostic payload that is not UTF-8");
  if (isError && optionsOf(read, Option.ETag).length > 0) out.push("an ETag in an error");
  if (isError && optionsOf(read, Option.Observe).length > 0) out.push("an Observe option in an error");
  if (["2.03", "2.31"].includes(read.code) && read.payload.length > 0) out.push(`a payload in a ${read.code}`);
  if (read.code === "2.03" && optionsOf(read, Option.ETag).length !== 1) out.push("a 2.03 without ETag");
  return out;
}

function complaintsAboutOption(read: Message, number: number): string[] {
  const values = optionsOf(read, number);
  const lengths = LENGTHS.get(number);
  if (lengths === undefined) return [`option ${number} in a response`];
  const out: string[] = [];
  if (values.length > 1 && !REPEATABLE.includes(number)) out.push(`option ${number} ${values.length} times`);
  for (const value of values) {
    if (value.length < lengths[0] || value.length > lengths[1]) out.push(`option ${number} of ${value.length} bytes`);
    if (UINTS.includes(number) && value[0] === 0) out.push(`option ${number} with a leading zero`);
    if (number === Option.LocationPath && [".", ".."].includes(value.toString())) out.push(`Location-Path ${value}`);
  }
  if (number === Option.Block1 || number === Option.Block2) out.push(...complaintsAboutBlock(read, number));
  return out;
}

/** RFC 7959 sections 2.2 and 2.3. */
function complaintsAboutBlock(read: Message, number: number): string[] {
  const block = uintOf(read, number) ?? 0;
  const szx = block & 7;
  const more = (block & 8) !== 0;
  if (szx === 7) return [`SZX 7 in option ${number}`];
  const out: string[] = [];
  const bytes = 16 << szx;
  if (number === Option.Block2 && more && read.payload.length !== bytes) {
    out.push(`${read.payload.length} bytes in a block of ${bytes} that is not the last`);
  }
  if (number === Option.Block2 && read.payload.length > bytes) out.push(`a block of more than ${bytes} bytes`);
  if (number === Option.Block1 && more && read.code.startsWith("2.") && optionsOf(read, Option.Block2).length > 0) {
    out.push("Block2 beside a Block1 with the more bit");
  }
  return out;
}
