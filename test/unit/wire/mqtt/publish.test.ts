/** What the vectors do not show of PUBLISH: sizes, filtering, and that its own property decoder says what the other says. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OK, PUBLISH } from "../../../../src/wire/mqtt/codes.ts";
import { frameBytes } from "../../../../src/wire/mqtt/frame.ts";
import { decodeProperties, PropertiesView } from "../../../../src/wire/mqtt/properties.ts";
import {
  copyForwardable,
  decodePublish,
  needsFiltering,
  PublishView,
  publishLength,
  writePublish,
} from "../../../../src/wire/mqtt/publish.ts";
import { bytes, Random } from "./bytes.ts";
import { decodePacket, views } from "./packets.ts";

const EMPTY = Buffer.alloc(0);

describe("writePublish", () => {
  const topic = Buffer.from("xxa/bxx");
  const block = bytes("ff 02 0000003c 26 s'k' s'v' ff");
  const blockLength = block.length - 2;
  for (const version of [3, 4, 5]) {
    for (const qos of [0, 1, 2]) {
      it(`writes what publishLength says, at each boundary of the Remaining Length, version ${version}, QoS ${qos}`, () => {
        const rest = publishLength(version, 3, blockLength, 0, qos);
        for (const remaining of [rest, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]) {
          const length = remaining - rest;
          const payload = Buffer.alloc(length + 2, 0x55);
          const size = frameBytes(publishLength(version, 3, blockLength, length, qos));
          const out = Buffer.alloc(size + 2, 0xee);
          // biome-ignore format: a PUBLISH in three lines
          const next = writePublish(
            out, 1, version, qos > 0, qos, true, 0xabcd,
            topic, 2, 3, block, 1, blockLength, payload, 1, length,
          );
          assert.equal(next, size + 1);
          assert.deepEqual([out[0], out[next]], [0xee, 0xee]);
          const { code, packet } = decodePacket(out, 1, next, version);
          assert.equal(code, OK);
          assert.deepEqual(packet, {
            type: PUBLISH,
            dup: qos > 0,
            qos,
            retain: true,
            packetId: qos > 0 ? 0xabcd : 0,
            topic: "a/b",
            payload: "U".repeat(length),
            properties: version === 5 ? { messageExpirySeconds: 60, userProperties: [["k", "v"]] } : {},
          });
        }
      });
    }
  }
});

describe("copyForwardable", () => {
  const cases: [title: string, block: string, kept: string][] = [
    ["keeps an empty block", "", ""],
    ["keeps what belongs to the message", "01 01 02 00000001 26 s'k' s'v'", "01 01 02 00000001 26 s'k' s'v'"],
    ["leaves out an alias at the beginning", "23 0001 01 01", "01 01"],
    ["leaves out an alias in the middle", "03 s'text' 23 0001 09 s'c'", "03 s'text' 09 s'c'"],
    ["leaves out an alias at the end", "08 s'r' 23 0001", "08 s'r'"],
    ["leaves out identifiers of any size", "0b 01 01 01 0b 8001 0b ffffff7f 26 s'k' s'v'", "01 01 26 s'k' s'v'"],
    ["leaves out everything", "0b 01 23 0001 0b 02", ""],
    [
      "keeps a user property longer than a byte loop",
      `26 s'${"k".repeat(60)}' s'v' 23 0001`,
      `26 s'${"k".repeat(60)}' s'v'`,
    ],
  ];
  for (const [title, text, kept] of cases) {
    it(`[MQTT5-3.3.4-3] ${title}`, () => {
      const block = bytes(`ee ${text} ee`);
      const expected = bytes(kept);
      const out = Buffer.alloc(block.length, 0xdd);
      const written = copyForwardable(block, 1, block.length - 2, out, 1);
      assert.equal(out.toString("hex", 1, 1 + written), expected.toString("hex"));
      assert.deepEqual([out[0], out[1 + written]], [0xdd, 0xdd]);
    });
  }

  it("is needed exactly when it leaves something out", () => {
    for (const [, text, kept] of cases) {
      const frame = bytes(`30 * s't' { ${text} }`);
      assert.equal(decodePacket(frame, 0, frame.length, 5).code, OK);
      assert.equal(needsFiltering(views.publish), text !== kept);
    }
  });
});

it("says of 20,000 random blocks what decodeProperties says", () => {
  const random = new Random(3);
  const pieces = [
    "01 01", "01 02", "02 0000003c", "02 ffffffff", "03 s'text'", "03 0001 ff", "08 s'r/t'", "08 s'#'", "08 0000", "09 0001 ff",
    "0b 01", "0b 8001", "0b 00", "0b 8000", "23 0001", "23 0000", "26 s'k' s'v'", "26 0001 ff 0000", "1f s'x'", "23", "26 s'k'",
  ].map(bytes); // biome-ignore format: a table
  const publish = new PublishView();
  const all = new PropertiesView();
  let fine = 0;
  for (let i = 0; i < 20_000; i++) {
    const block = Buffer.concat(Array.from({ length: random.below(5) }, () => random.pick(pieces)));
    const frame = Buffer.concat([bytes("0001 'a'"), Buffer.from([block.length]), block]);
    const code = decodePublish(frame, 0, 0, frame.length, 5, publish);
    assert.equal(code, decodeProperties(frame, 4, frame.length, PUBLISH, all), block.toString("hex"));
    if (code !== OK) continue;
    fine++;
    assert.equal(publish.topicAlias, all.topicAlias);
    assert.equal(publish.messageExpirySeconds, all.messageExpirySeconds);
    assert.equal(publish.messageExpiryAt, all.messageExpiryAt);
    assert.equal(publish.payloadFormat, all.payloadFormat);
    assert.equal(publish.subscriptionIdentifiers, all.subscriptionIdentifierCount > 0);
    assert.equal(publish.responseTopicAt, all.responseTopicAt);
    assert.equal(publish.responseTopicLength, all.responseTopicLength);
  }
  assert.ok(fine > 1000);
});

it("a view that was used for everything has nothing left over for the next packet", () => {
  const full = bytes("3d * s't' 0007 { 01 01 02 00000001 08 s'r' 0b 01 23 0001 } 'p'");
  const plain = bytes("30 * s't' 00");
  const v3 = bytes("30 * s't'");
  const view = new PublishView();
  for (const [frame, version] of [
    [plain, 5],
    [v3, 4],
  ] as const) {
    assert.equal(decodePublish(full, 13, 2, full.length, 5, view), OK);
    assert.equal(decodePublish(frame, 0, 2, frame.length, version, view), OK);
    const fresh = new PublishView();
    assert.equal(decodePublish(frame, 0, 2, frame.length, version, fresh), OK);
    assert.deepEqual(view, fresh);
  }
});

it("an empty message has a length", () => {
  assert.equal(publishLength(4, 1, 0, 0, 0), 3);
  assert.equal(publishLength(4, 1, 99, 0, 0), 3);
  assert.equal(publishLength(5, 1, 0, 0, 0), 4);
  assert.equal(publishLength(5, 1, 128, 0, 1), 2 + 1 + 2 + 2 + 128);
  assert.equal(
    writePublish(Buffer.alloc(5), 0, 4, false, 0, false, 0, Buffer.from("t"), 0, 1, EMPTY, 0, 0, EMPTY, 0, 0),
    5,
  );
});
