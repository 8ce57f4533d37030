import assert from "node:assert/strict";
import { test } from "node:test";
import { ListEncoder, ListReader } from "../../../src/store/receiver-list.ts";
import { messageOfText } from "../../support/store-fixture.ts";

type Entry = [id: number, options: number, subscriptionIds: number[] | null];

function encoded(encoder: ListEncoder, entries: Entry[]): Buffer {
  const message = messageOfText("x");
  for (const [id, options, subscriptionIds] of entries) {
    message.addReceiver(id, options);
    if (subscriptionIds === null) continue;
    message.subscriptionIds ??= new Map();
    message.subscriptionIds.set(message.receiverIds.length - 1, subscriptionIds);
  }
  return encoder.encode(message);
}

function decoded(bytes: Buffer): Entry[] {
  const reader = new ListReader();
  const entries: Entry[] = [];
  reader.start(1, bytes);
  while (reader.next()) entries.push([reader.id, reader.options, reader.subscriptionIds]);
  return entries;
}

const LISTS: [name: string, entries: Entry[], hex: string][] = [
  ["one receiver", [[1, 1, null]], "0201"],
  [
    "ids that go up and down",
    [
      [5, 1, null],
      [3, 6, null],
      [70, 2, null],
    ],
    "0a01" + "0306" + "860102",
  ],
  [
    "subscription identifiers",
    [
      [2, 1, [1]],
      [3, 2, [127, 128, 268_435_455]],
    ],
    "04810101" + "0282037f8001ffffff7f",
  ],
  ["a large id", [[2_000_000_000, 1, null]], "80d0acf30e01"],
];

for (const [name, entries, hex] of LISTS) {
  test(`${name}: encoded and decoded`, () => {
    const bytes = encoded(new ListEncoder(() => {}), entries);
    assert.equal(bytes.toString("hex"), hex);
    assert.deepEqual(decoded(bytes), entries);
    const reader = new ListReader();
    for (const [id, options, subscriptionIds] of entries) {
      assert.ok(reader.find(1, bytes, id));
      assert.deepEqual([reader.options, reader.subscriptionIds], [options, subscriptionIds]);
    }
    assert.ok(!reader.find(1, bytes, 4));
  });

  test(`${name}: every truncation is read without harm`, () => {
    const bytes = encoded(new ListEncoder(() => {}), entries);
    for (let length = 0; length < bytes.length; length++) {
      assert.ok(decoded(bytes.subarray(0, length)).length <= entries.length);
    }
  });
}

test("entries that were settled are left out", () => {
  const message = messageOfText("x");
  for (const id of [7, 8, 9]) message.addReceiver(id, 1);
  message.receiverIds[1] = 0;
  assert.deepEqual(decoded(new ListEncoder(() => {}).encode(message)), [
    [7, 1, null],
    [9, 1, null],
  ]);
});

test("the same list again is recognised, another one is not", () => {
  const encoder = new ListEncoder(() => {});
  const lists: Entry[][] = [
    [[1, 1, null]],
    [[1, 1, null]],
    [[1, 2, null]],
    [
      [1, 2, null],
      [2, 1, null],
    ],
    [[1, 2, [3]]],
    [[1, 2, [4]]],
    [[1, 2, null]],
  ];
  const repeated = lists.map((entries) => {
    assert.deepEqual(decoded(encoded(encoder, entries)), entries);
    return encoder.repeated;
  });
  assert.deepEqual(repeated, [false, true, false, false, false, false, false]);
});

test("1,000 sessions take 3 KiB", () => {
  const entries: Entry[] = Array.from({ length: 1000 }, (_, i) => [1 + ((i * 617) % 4096), 1, null]);
  const bytes = encoded(new ListEncoder(() => {}), entries);
  assert.ok(bytes.length <= 3072, `${bytes.length} bytes`);
  assert.deepEqual(decoded(bytes), entries);
});
