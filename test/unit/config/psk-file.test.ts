import assert from "node:assert/strict";
import { test } from "node:test";
import type { Complaint } from "../../../src/config/complaint.ts";
import { identityKey, PSK_IDENTITIES_MAX, type PskEntry, parsePskFile } from "../../../src/config/psk-file.ts";

function parsed(text: string): { entries: PskEntry[]; complaints: string[] } {
  const complaints: Complaint[] = [];
  const entries = [...parsePskFile(text, "psk.txt", complaints).values()];
  return { entries, complaints: complaints.map(({ line, problem }) => `${line} ${problem}`) };
}

test("identities and keys are text or, after hex:, bytes; a third field names who it is", () => {
  const { entries, complaints } = parsed(
    [
      "# meters",
      "",
      "meter-1:s3cret",
      "meter 2:key with spaces:anna \r",
      "hex:00ff:hex:0001feFF",
      "hex:00fe:k:boiler",
      "hex:75726e3a6465763a31:hex:6b:urn:dev:1",
      "hex:75726e3a6465763a32:k",
      "mètre:clé",
    ].join("\n"),
  );
  assert.deepEqual(complaints, []);
  assert.deepEqual(
    entries.map(({ identity, key, name }) => [identity.toString("hex"), key.toString("hex"), name]),
    [
      [Buffer.from("meter-1").toString("hex"), Buffer.from("s3cret").toString("hex"), "meter-1"],
      [Buffer.from("meter 2").toString("hex"), Buffer.from("key with spaces").toString("hex"), "anna"],
      ["00ff", "0001feff", "hex:00ff"],
      ["00fe", "6b", "boiler"],
      ["75726e3a6465763a31", "6b", "urn:dev:1"],
      ["75726e3a6465763a32", "6b", "urn:dev:2"],
      [Buffer.from("mètre").toString("hex"), Buffer.from("clé").toString("hex"), "mètre"],
    ],
  );
});

const WRONG: [string, string][] = [
  ["meter", "has no colon after the identity"],
  ["hex:00ff", "has no colon after the identity"],
  [":key", "has an empty identity"],
  ["hex::key", "has an empty identity"],
  ["meter:", "has an empty key"],
  ["meter:hex:", "has an empty key"],
  ["hex:0:key", "has hex: before what is no hexadecimal"],
  ["hex:meter:key", "has hex: before what is no hexadecimal"],
  ["meter:hex:0g", "has a key with hex: before what is no hexadecimal"],
  ["meter:k\ufffdy", "is no UTF-8"],
  ["meter:key:", "has an empty name"],
  ["meter:key:serial:meter", "has a name that belongs to serial lines"],
  ["meter:key:a\u0001b", "has a name that is no printable text"],
  [`${"i".repeat(129)}:key`, "has an identity of more than 128 bytes"],
  [`meter:${"k".repeat(257)}`, "has a key of more than 256 bytes"],
  [`meter:key:${"n".repeat(257)}`, "has a name of more than 256 bytes"],
];

test("every line that is wrong has its complaint, with its number and never with its key", () => {
  const { entries, complaints } = parsed(`${WRONG.map(([line]) => line).join("\n")}\ngood:key\n`);
  assert.deepEqual(
    complaints,
    WRONG.map(([, problem], i) => `${i + 1} ${problem}`),
  );
  assert.deepEqual(
    entries.map(({ name }) => name),
    ["good"],
  );
});

test("lengths at their limits are fine", () => {
  const text = `${"i".repeat(128)}:${"k".repeat(256)}:${"n".repeat(256)}`;
  assert.deepEqual(parsed(text).complaints, []);
});

test("an identity given twice, in text or in bytes, and a file without any", () => {
  assert.deepEqual(parsed("a:1\nb:2\nhex:61:3:other").complaints, ["3 other has an identity that is given before"]);
  assert.deepEqual(parsed("# nobody\n").complaints, ["0 holds no identity"]);
});

test("there is a limit to identities", () => {
  const lines = Array.from({ length: PSK_IDENTITIES_MAX + 2 }, (_, i) => `d${i}:k`).join("\n");
  const { entries, complaints } = parsed(lines);
  assert.equal(entries.length, PSK_IDENTITIES_MAX);
  assert.deepEqual(complaints, [`${PSK_IDENTITIES_MAX + 1} has more than ${PSK_IDENTITIES_MAX} identities`]);
});

test("the key of a map tells all bytes apart", () => {
  assert.equal(identityKey(Uint8Array.of(0, 0xff, 0x61)), "\u0000\u00ffa");
});
