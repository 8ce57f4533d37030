import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as codes from "../../../../src/wire/mqtt/codes.ts";

describe("[MQTT311-3.2.2-6] the return code of a 3.1.1 CONNACK", () => {
  const cases: [reasonCode: number, returnCode: number][] = [
    [codes.SUCCESS, 0],
    [codes.UNSUPPORTED_PROTOCOL_VERSION, 1],
    [codes.CLIENT_IDENTIFIER_NOT_VALID, 2],
    [codes.UNSPECIFIED_ERROR, 3],
    [codes.IMPLEMENTATION_SPECIFIC_ERROR, 3],
    [codes.SERVER_UNAVAILABLE, 3],
    [codes.SERVER_BUSY, 3],
    [codes.SERVER_SHUTTING_DOWN, 3],
    [codes.QUOTA_EXCEEDED, 3],
    [codes.USE_ANOTHER_SERVER, 3],
    [codes.SERVER_MOVED, 3],
    [codes.CONNECTION_RATE_EXCEEDED, 3],
    [codes.BAD_USER_NAME_OR_PASSWORD, 4],
    [codes.NOT_AUTHORIZED, 5],
    [codes.BANNED, 5],
    [codes.BAD_AUTHENTICATION_METHOD, 5],
  ];
  for (const [reasonCode, returnCode] of cases) {
    it(`is ${returnCode} for ${codes.reasonName(reasonCode)}`, () => {
      assert.equal(codes.toConnackV3(reasonCode), returnCode);
    });
  }

  it("is none for every other reason: the connection is closed without CONNACK", () => {
    const known = new Set(cases.map(([reasonCode]) => reasonCode));
    for (let code = 0; code < 256; code++) if (!known.has(code)) assert.equal(codes.toConnackV3(code), -1);
  });

  it("comes back as the reason a client acts on", () => {
    for (let returnCode = 0; returnCode < 6; returnCode++) {
      assert.equal(codes.toConnackV3(codes.fromConnackV3(returnCode)), returnCode);
    }
    for (let reserved = 6; reserved < 256; reserved++) {
      assert.equal(codes.fromConnackV3(reserved), codes.UNSPECIFIED_ERROR);
    }
  });
});

it("every reason code of table 2-6 has a stable name of its own in kebab case", () => {
  const table = [0x00, 0x01, 0x02, 0x04, 0x10, 0x11, 0x18, 0x19];
  for (let code = 0x80; code <= 0xa2; code++) table.push(code);
  const names = table.map(codes.reasonName);
  assert.equal(new Set(names).size, table.length);
  for (const name of names) assert.match(name, /^[a-z]+(-[a-z0-9]+)*$/);
  for (let code = -1; code < 257; code++) {
    assert.equal(codes.reasonName(code) === "unknown-reason-code", !table.includes(code));
  }
});
