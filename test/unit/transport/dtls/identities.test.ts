import assert from "node:assert/strict";
import { test } from "node:test";
import { type PskEntry, parsePskFile } from "../../../../src/config/psk-file.ts";
import { DtlsIdentities, NO_ENTRY } from "../../../../src/transport/dtls/identities.ts";

function entriesOf(text: string): PskEntry[] {
  return [...parsePskFile(text, "psk.txt", []).values()];
}

const of = (text: string): DtlsIdentities => new DtlsIdentities(entriesOf(text));

test("each of a thousand identities is found with its name, and no other", () => {
  const lines = Array.from({ length: 1000 }, (_, i) => (i % 3 === 0 ? `d${i}:k:name ${i}` : `d${i}:k`));
  const identities = of(`${lines.join("\n")}\nhex:00ff:k\nhex:00fe:k:boiler\n`);
  for (let i = 0; i < 1000; i++) {
    const identity = Buffer.from(`d${i}`);
    assert.notEqual(identities.entryOf(identity), NO_ENTRY);
    assert.equal(identities.nameOf(identity), i % 3 === 0 ? `name ${i}` : `d${i}`);
  }
  assert.equal(identities.nameOf(Buffer.of(0, 0xff)), "hex:00ff");
  assert.equal(identities.nameOf(Buffer.of(0, 0xfe)), "boiler");
  for (const stranger of ["", "d", "d1000", "D1", "d1 "])
    assert.equal(identities.entryOf(Buffer.from(stranger)), NO_ENTRY, stranger);
  assert.equal(identities.entries().size, 1002);
  assert.equal(of("# nobody").entryOf(Buffer.from("a")), NO_ENTRY);
});

test("a line is the same one wherever it stands and however it is written; another key or name makes another", () => {
  const a = Buffer.from("a");
  const entry = of("a:1\nb:2").entryOf(a);
  assert.equal(of("b:3\n# moved\nhex:61:hex:31").entryOf(a), entry);
  assert.equal(of("a:1:a").entryOf(a), entry, "its own name, written out");
  for (const changed of ["a:2", "a:1:other", "a:11", "a:hex:3100"])
    assert.notEqual(of(changed).entryOf(a), entry, changed);
  assert.notEqual(of("ab:c").entryOf(Buffer.from("ab")), of("a:bc").entryOf(a));
});
