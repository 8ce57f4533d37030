import assert from "node:assert/strict";
import { test } from "node:test";
import { SlipDecoder, slipBytesMax } from "../../../../src/wire/serial/slip.ts";
import { COAP, COAP_FRAME_OVERHEAD, isPacket, isWhole, writeCoap } from "../../../../src/wire/serial/slipmux.ts";

/** What comes out of `chunks`: frames as hex, faults by name. */
function decoded(chunks: readonly (Buffer | string)[], frameBytesMax = 64): string[] {
  const decoder = new SlipDecoder({ frameBytesMax }, null);
  const out: string[] = [];
  const sink = {
    onFrame: (bytes: Buffer, from: number, end: number) => out.push(bytes.toString("hex", from, end)) > 0,
    onBadFrame: (cause: string) => void out.push(cause),
  };
  for (const chunk of chunks) decoder.feed(typeof chunk === "string" ? Buffer.from(chunk, "hex") : chunk, 0, sink);
  return out;
}

function encoded(message: Buffer): Buffer {
  const out = Buffer.alloc(slipBytesMax(message.length + COAP_FRAME_OVERHEAD));
  return out.subarray(0, writeCoap(message, 0, message.length, out, 0));
}

test("the check is RFC 1662's FCS over the first byte and the message, low byte first", () => {
  const frame = Buffer.from("123456789"); // CRC-16/X-25 of it is 906E
  assert.equal(isWhole(Buffer.concat([frame, Buffer.from([0x6e, 0x90])]), 0, 11), true);
  assert.equal(isWhole(Buffer.concat([frame, Buffer.from([0x90, 0x6e])]), 0, 11), false);
  // A ping, Message ID 1: c0 a9 | 40 00 00 01 | FCS | c0
  const ping = encoded(Buffer.from("40000001", "hex"));
  assert.equal(ping.subarray(0, 6).toString("hex"), "c0a940000001");
  assert.equal(isWhole(ping, 1, ping.length - 1), true);
  for (let i = 1; i < ping.length - 1; i++) {
    const hit = Buffer.from(ping);
    hit[i] = (hit[i] as number) ^ 0x10;
    assert.equal(isWhole(hit, 1, hit.length - 1), false, `byte ${i}`);
  }
  assert.equal(isWhole(Buffer.from([COAP, 0]), 0, 2), false, "too short for a check");
});

test("END and ESC inside a message are escaped, and come back", () => {
  const message = Buffer.from("c0dbdcddc0dbc000", "hex");
  const frame = encoded(message);
  assert.equal(frame.subarray(1, -1).includes(0xc0), false);
  const [out = ""] = decoded([frame]);
  assert.equal(out.slice(2, -4), message.toString("hex"));
  const worst = Buffer.alloc(40, 0xc0);
  assert.equal(encoded(worst).length <= slipBytesMax(40 + COAP_FRAME_OVERHEAD), true);
});

test("a frame with a wrong escape, or one taken back, is one fault; the next one is whole", () => {
  assert.deepEqual(decoded(["c00a41db42db43c00a44c0"]), ["escape", "0a44"]);
  assert.deepEqual(decoded(["c00a41dbc00a44c0"]), ["escape", "0a44"]);
  assert.deepEqual(decoded(["c0c0c0"]), []);
});

test("IP packets are told by their first byte", () => {
  const packets = Array.from({ length: 256 }, (_, byte) => byte).filter(isPacket);
  assert.deepEqual(
    packets,
    [
      0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f, 0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67,
      0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f,
    ],
  );
});
