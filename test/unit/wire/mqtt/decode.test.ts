/** Every vector: right ones give their fields, wrong ones their code. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AckView } from "../../../../src/wire/mqtt/ack.ts";
import { AuthView } from "../../../../src/wire/mqtt/auth.ts";
import { CONNECT, MQTT_3_1, OK, reasonName } from "../../../../src/wire/mqtt/codes.ts";
import { ConnackView } from "../../../../src/wire/mqtt/connack.ts";
import { ConnectView } from "../../../../src/wire/mqtt/connect.ts";
import { DisconnectView } from "../../../../src/wire/mqtt/disconnect.ts";
import { FrameHeader } from "../../../../src/wire/mqtt/frame.ts";
import { PropertiesView } from "../../../../src/wire/mqtt/properties.ts";
import { PublishView } from "../../../../src/wire/mqtt/publish.ts";
import { SubackView } from "../../../../src/wire/mqtt/suback.ts";
import { SubscribeView } from "../../../../src/wire/mqtt/subscribe.ts";
import { UnsubackView } from "../../../../src/wire/mqtt/unsuback.ts";
import { UnsubscribeView } from "../../../../src/wire/mqtt/unsubscribe.ts";
import { bytes, guarded } from "./bytes.ts";
import { decodeBody, decodePacket, rangesInside, viewOf, views } from "./packets.ts";
import { VECTORS } from "./vectors.ts";
import { WRONG_VECTORS } from "./wrong-vectors.ts";

describe("decoders give the fields of", () => {
  for (const vector of VECTORS) {
    it(vector.title, () => {
      const frame = bytes(vector.bytes);
      const { code, packet } = decodePacket(frame, 0, frame.length, vector.version);
      assert.equal(reasonName(code), "success");
      assert.deepEqual(packet, vector.packet);
    });
  }
});

describe("decoders give the fields in the middle of other bytes of", () => {
  for (const around of [0x00, 0xff]) {
    it(`every vector, 0x${around.toString(16)} around it`, () => {
      for (const { bytes: text, version, packet, title } of VECTORS) {
        const frame = bytes(text);
        const chunk = Buffer.alloc(frame.length + 600, around);
        frame.copy(chunk, 300);
        assert.deepEqual(decodePacket(chunk, 300, 300 + frame.length, version), { code: OK, packet }, title);
        const { type, bodyAt, end } = views.header;
        if (bodyAt < end) assert.ok(rangesInside(viewOf(type), bodyAt, end), title);
      }
    });
  }
});

describe("decoders answer with a code to", () => {
  for (const [title, version, text, code] of WRONG_VECTORS) {
    it(`${title} (version ${version})`, () => {
      const frame = bytes(text);
      assert.equal(reasonName(decodePacket(frame, 0, frame.length, version).code), reasonName(code));
    });
  }
});

it("no wrong packet is read beyond its end", () => {
  for (const [title, version, text] of WRONG_VECTORS) {
    const frame = bytes(text);
    decodePacket(frame, 0, frame.length, version);
    const { type, flags, bodyAt } = views.header;
    const body = guarded(frame, bodyAt, frame.length);
    assert.doesNotThrow(() => decodeBody(body, type, flags, bodyAt, frame.length, version), title);
  }
});

describe("the version of a refused CONNECT, in which it is answered", () => {
  const cases: [string, number][] = [
    ["10 * s'MQIsdp' 09 02 000a s'p'", MQTT_3_1],
    ["10 * s'MQTT' 00 02 000a s'p'", 4],
    ["10 * s'MQTT' 03 02 000a s'p'", 4],
    ["10 * s'MQTT' 06 02 000a s'p'", 5],
    ["10 * s'MQTT' 7f 02 000a s'p'", 5],
    ["10 * s'MQTT' 04 03 000a s'p'", 4],
    ["10 * s'MQTT' 05 03 000a 00 s'p'", 5],
    ["10 * s'HTTP' 05 02 000a 00 s'p'", 0],
    ["10 * s'MQTT'", 0],
  ];
  for (const [text, version] of cases) {
    it(`is ${version} for ${text}`, () => {
      const frame = bytes(text);
      assert.notEqual(decodeBody(frame, CONNECT, 0, 2, frame.length, 0), OK);
      assert.equal(views.connect.version, version);
    });
  }
});

describe("a view", () => {
  const classes = [
    AckView,
    AuthView,
    ConnackView,
    ConnectView,
    DisconnectView,
    FrameHeader,
    PublishView,
    SubackView,
    SubscribeView,
    UnsubackView,
    UnsubscribeView,
  ];
  for (const View of classes) {
    it(`${View.name} begins with absence, and never gets another field`, () => {
      const fields = Object.entries(new View());
      for (const [name, value] of fields) {
        if (value instanceof PropertiesView) assert.deepEqual(value, new PropertiesView());
        else assert.ok(value === 0 || value === false || (value === -1 && /Expiry/.test(name)), name);
      }
      const used = Object.values(views).find((view) => view instanceof View);
      assert.deepEqual(Object.keys(used ?? {}), Object.keys(new View()));
    });
  }

  it("ConnectView forgets everything on reset", () => {
    const view = new ConnectView();
    const fields = view as unknown as Record<string, unknown>;
    for (const [name, value] of Object.entries(fields)) {
      if (typeof value === "number") fields[name] = 7;
      if (typeof value === "boolean") fields[name] = true;
    }
    view.properties.topicAlias = 7;
    view.willProperties.topicAlias = 7;
    view.reset();
    assert.deepEqual(view, new ConnectView());
  });
});
