/** Blocks of an upload as requests, for tests. */
import type { OptionName } from "coap-packet";
import { blockOption } from "../../../../../src/wire/coap/options.ts";
import type { Response } from "../../../../support/coap-messages.ts";
import type { Harness } from "../harness.ts";

export interface BlockOf {
  num: number;
  more: boolean;
  szx?: number;
  tag?: string;
  format?: number;
  size1?: number;
  code?: string;
  confirmable?: boolean;
  path?: string;
  token?: string;
  address?: string;
  port?: number;
  messageId?: number;
}

/** Text that differs at each place. */
export function textOf(length: number, seed = 0): Buffer {
  return Buffer.from(Array.from({ length }, (_, i) => 97 + ((i * 7 + (i >> 4) * 3 + seed) % 26)));
}

export function uint(number: number): Buffer {
  const bytes: number[] = [];
  for (let rest = number; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Buffer.from(bytes);
}

export function readUint(value: Buffer | undefined): number {
  return value === undefined ? -1 : value.reduce((sum, byte) => sum * 256 + byte, 0);
}

/** NUM, M and SZX of a block option in a response, "" without it. */
export function blockOf(response: Response | undefined, name: "Block1" | "Block2"): string {
  const value = response?.options.get(name);
  if (value === undefined) return "";
  const block = readUint(value);
  return `${block >> 4}/${(block >> 3) & 1}/${block & 7}`;
}

export function block1Of(response: Response | undefined): string {
  return blockOf(response, "Block1");
}

/** Sends the block of `payload`, and gives what was sent within the call. */
export function sendBlock(h: Harness, payload: Buffer, block: BlockOf): Response[] {
  const { num, more, szx = 0 } = block;
  const size = 16 << szx;
  const options: { name: OptionName; value: Buffer }[] = [
    { name: "Block1", value: blockOption(0, num, more, szx).value },
  ];
  if (block.tag !== undefined) options.push({ name: "292" as OptionName, value: Buffer.from(block.tag) });
  if (block.format !== undefined) options.push({ name: "Content-Format", value: uint(block.format) });
  if (block.size1 !== undefined) options.push({ name: "Size1", value: uint(block.size1) });
  return h.request(
    {
      code: block.code ?? "PUT",
      confirmable: block.confirmable ?? true,
      options,
      payload: payload.subarray(num * size, more ? (num + 1) * size : payload.length),
      ...(block.token === undefined ? {} : { token: Buffer.from(block.token, "hex") }),
      ...(block.messageId === undefined ? {} : { messageId: block.messageId }),
    },
    block.path ?? "/ps/a",
    block.address,
    block.port,
  );
}

/** Sends all blocks, one after the other, as long as they are answered by 2.31. @returns the last response */
export function upload(h: Harness, payload: Buffer, block: Partial<BlockOf> = {}): Response | undefined {
  const size = 16 << (block.szx ?? 0);
  for (let num = 0; ; num++) {
    const more = (num + 1) * size < payload.length;
    const [response] = sendBlock(h, payload, { ...block, num, more });
    if (response?.code !== "2.31") return response;
  }
}
