import assert from "node:assert/strict";
import { test } from "node:test";
import { findBaud, lineText } from "../../../../src/cli/sniff/auto-baud.ts";
import { Ending } from "../../../../src/cli/sniff/ending.ts";
import { type SniffedLine, sniffedLine } from "../../../../src/cli/sniff/options.ts";
import { readingOf } from "../../../../src/cli/sniff/readings.ts";
import type { LineSettings } from "../../../../src/config/serial-port.ts";
import type { LineFacts, SerialStream, SerialStreamHandler } from "../../../../src/transport/serial/stream.ts";
import { FrameCheck } from "../../../../src/wire/serial/check.ts";
import { coapFrame } from "../../../support/slipmux-peer.ts";

const MODBUS = new FrameCheck({ type: "crc16-modbus", position: "end", endian: "little", init: 0xffff });

/** What a device that sends `message` looks like at another rate: other bytes, and fewer. */
function garbled(message: Buffer): Buffer {
  return Buffer.from(message.map((byte, i) => (byte * 7 + i * 13) | 0x80)).subarray(1);
}

/** Sends over and over, until it is closed; enough at once, so that no judgement depends on when that is. */
class Talker implements SerialStream {
  readonly #message: Buffer;
  #timer: NodeJS.Timeout | undefined;

  constructor(message: Buffer) {
    this.#message = Buffer.concat([message, message, message, message]);
  }

  start(handler: SerialStreamHandler): void {
    if (this.#message.length > 0) this.#timer = setInterval(() => handler.onData(this.#message), 2);
  }

  pause(): void {}
  resume(): void {}
  write(): void {}

  facts(): LineFacts {
    return { heldBy: null, driver: null };
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
  }
}

interface Device {
  readonly baud: number;
  readonly parity: LineSettings["parity"];
  readonly message: Buffer;
}

async function found(line: SniffedLine, device: Device): Promise<{ settings: string | null; said: string[] }> {
  const said: string[] = [];
  const ending = new Ending(null);
  const open = async ({ baud, parity }: LineSettings): Promise<SerialStream> => {
    const isRight = baud === device.baud && parity === device.parity;
    return new Talker(isRight ? device.message : garbled(device.message));
  };
  const settings = await findBaud(line.settings, line.parityGiven, {
    open,
    readingOf: (tried) => readingOf({ ...line, settings: tried }),
    say: (words) => {
      said.push(words);
      if (words.startsWith("no rate")) ending.end();
    },
    ending,
    listenMs: 60,
    silentMs: 60,
  });
  ending.cancel();
  return { settings: settings === null ? null : lineText(settings), said };
}

test("the rate at which checks hold, or text is text, is found, with its parity", async () => {
  const slipmux = sniffedLine("/dev/a", { framing: "slipmux", baud: "auto" });
  const message = coapFrame(Buffer.from("40010001b27073", "hex"));
  const first = await found(slipmux, { baud: 19_200, parity: "none", message });
  assert.equal(first.settings, "19200 8N1");
  assert.match(first.said.at(-1) as string, /^19200 8N1: [1-9]\d* good frames?, 0 bad$/);

  const modbus = sniffedLine("/dev/a", { framing: "modbus", baud: "auto", parity: "even" });
  const request = MODBUS.added(Buffer.from("0103000a0001", "hex"));
  assert.equal((await found(modbus, { baud: 9_600, parity: "even", message: request })).settings, "9600 8E1");

  const text = sniffedLine("/dev/a", { baud: "auto" });
  const line = Buffer.from("temperature\t21.5 °C\r\n");
  assert.equal((await found(text, { baud: 57_600, parity: "none", message: line })).settings, "57600 8N1");
});

test("where no rate fits, that is said, and another round begins until it is over; silence is no answer either", async () => {
  const line = sniffedLine("/dev/a", { framing: "slip", check: "crc16-ccitt", baud: "auto", parity: "none" });
  const message = Buffer.from("c00102030405c0", "hex");
  const { settings, said } = await found(line, { baud: 9_600, parity: "none", message });
  assert.equal(settings, null);
  assert.equal(said.at(-1), "no rate makes sense of it so far; once more");
  const silent = await found(line, { baud: 9_600, parity: "none", message: Buffer.alloc(0) });
  assert.deepEqual(silent.said, ["no rate makes sense of it so far; once more"]);
});
