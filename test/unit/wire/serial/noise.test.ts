// Noise: bytes that are changed, lost or come in addition, one in a thousand, cost the frames that they hit and no other.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../src/base/random.ts";
import type { CheckOptions } from "../../../../src/wire/serial/check.ts";
import { decoderOf, encoderOf, type FramingOptions } from "../../../../src/wire/serial/framings.ts";
import { checksOf, cut, FRAMINGS, feed, payloadOf, sizeOf } from "./kinds.ts";

const RATE = 1e-3;
const FRAMES = 600;
const KINDS = ["changed", "lost", "added"] as const;
type Kind = (typeof KINDS)[number];

/**
 * Bytes at the end of a frame that are the next one's, too: a delimiter is all that stands between two lines. An end that
 * becomes an escape makes content of the next start, unless escaped bytes are changed as well (HDLC).
 */
function sharedBytes(framing: FramingOptions, kind: Kind): number {
  if (framing.type === "line") return framing.delimiter.length;
  if (framing.type === "cobs") return 1;
  const escapes = framing.type === "start-end" && framing.escape >= 0 && framing.escapeXor === 0;
  return escapes && kind === "changed" ? framing.end.length : 0;
}

/** Whether frames are told apart without the check; otherwise it finds them, and takes one wrong place in 2^bits. */
function hasMarks({ type }: FramingOptions): boolean {
  return type !== "length" && type !== "fixed";
}

function isWide(check: CheckOptions | null): boolean {
  return check !== null && (check.type === "crc32" || check.type.startsWith("crc16"));
}

interface Noisy {
  readonly bytes: Buffer;
  readonly hits: number;
  /** The next frame is hit, too. */
  readonly hitsNext: boolean;
}

function noisy(frame: Buffer, kind: Kind, shared: number, random: () => number): Noisy {
  const bytes: number[] = [];
  let hits = 0;
  let hitsNext = false;
  for (let at = 0; at < frame.length; at++) {
    const byte = frame[at] as number;
    if (random() >= RATE) {
      bytes.push(byte);
      continue;
    }
    hits++;
    // What comes before the first byte of the delimiter is in this frame only.
    hitsNext ||= at >= frame.length - shared + (kind === "added" ? 1 : 0);
    if (kind === "changed") bytes.push(byte ^ (1 + Math.floor(random() * 255)));
    if (kind === "added") bytes.push(Math.floor(random() * 256), byte);
  }
  return { bytes: Buffer.from(bytes), hits, hitsNext };
}

for (const [name, framing] of FRAMINGS) {
  test(`${name}: one byte in a thousand that is changed, lost or added loses the frames that it hits and no other`, () => {
    const random = seededRandom(name.length * 15_485_863);
    for (const kind of KINDS) {
      const shared = sharedBytes(framing, kind);
      let hits = 0;
      let bad = 0;
      for (const check of checksOf(framing)) {
        if (!hasMarks(framing) && !isWide(check)) continue;
        const encoder = encoderOf(framing, check);
        const chunks: (Buffer | null)[] = [];
        const sent = new Set<string>();
        const unhit: string[] = [];
        let before = false;
        for (let i = 0; i < FRAMES; i++) {
          const payload = payloadOf(random, sizeOf(framing, check, random));
          payload.writeUInt32BE(i + 0x61616161, 0); // told apart
          if (encoder.problem(payload) !== null) continue;
          const frame = noisy(encoder.encode(payload), kind, shared, random);
          sent.add(payload.toString("hex"));
          if (frame.hits === 0 && !before) unhit.push(payload.toString("hex"));
          before = frame.hitsNext;
          hits += frame.hits;
          chunks.push(...cut(frame.bytes, random));
          if (framing.type === "idle") chunks.push(null);
        }
        chunks.push(null);
        const result = feed(decoderOf(framing, check), chunks);
        const found = new Set(result.frames);
        const what = `${kind}, ${JSON.stringify(check)}`;
        assert.deepEqual(
          unhit.filter((frame) => !found.has(frame)),
          [],
          what,
        );
        if (check?.type === "crc32")
          assert.ok(
            result.frames.every((frame) => sent.has(frame)),
            `nothing else, ${what}`,
          );
        bad += result.bad.length;
      }
      assert.ok(hits > 20 && bad > 0, `${hits} hits, ${bad} bad frames`);
    }
  });
}
