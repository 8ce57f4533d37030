import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../src/base/random.ts";
import type { Message } from "../../../src/core/message.ts";
import { OpenMessages } from "../../../src/store/open-messages.ts";
import { messageOfText } from "../../support/store-fixture.ts";

function messageOf(seq: number): Message {
  const message = messageOfText("x");
  message.seq = seq;
  return message;
}

test("a message that waits long does not keep the places of those elided behind it", () => {
  const open = new OpenMessages(1);
  const stuck = messageOf(1);
  open.add(stuck, 1);
  let most = 0;
  for (let seq = 2; seq <= 100_000; seq++) {
    const message = messageOf(seq);
    open.add(message, seq);
    assert.ok(open.remove(message));
    most = Math.max(most, open.places);
  }
  assert.ok(most <= 2049, `${most} places`);
  assert.deepEqual([open.count, open.firstSeq, open.oldestMs], [1, 1, 1]);
  assert.equal(open.from(1), stuck);
  assert.equal(open.from(2), null);
  assert.ok(open.remove(stuck));
  assert.deepEqual([open.count, open.firstSeq], [0, 100_001]);
});

test("whatever is elided in whatever order: what is left is found by number and in order, in places bounded by it", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seededRandom(seed);
    const open = new OpenMessages(1);
    let model: Message[] = [];
    // Some stay for ever, most are elided soon.
    const staysShare = random() * 0.3;
    for (let seq = 1; seq <= 20_000; seq++) {
      const message = messageOf(seq);
      open.add(message, seq);
      model.push(message);
      if (random() < staysShare) continue;
      const back = Math.floor(random() * random() * Math.min(model.length, 50));
      const [elided] = model.splice(model.length - 1 - back, 1) as [Message];
      assert.ok(open.remove(elided));
      assert.ok(!open.remove(elided), "once");
      if (seq % 4000 === 0) model = model.filter((kept) => random() < 0.5 || !open.remove(kept));
    }
    const seen: [Message, number][] = [];
    open.visit((message, enteredMs) => seen.push([message, enteredMs]));
    assert.deepEqual(
      seen.map(([message, enteredMs]) => [message.seq, enteredMs]),
      model.map(({ seq }) => [seq, seq]),
    );
    assert.equal(open.count, model.length);
    assert.ok(open.places <= 2 * (model.length + 2048), `${open.places} places for ${model.length}`);
    if (model.length > 0)
      assert.deepEqual([open.firstSeq <= (model[0]?.seq ?? 0), open.oldestMs], [true, model[0]?.seq]);
    for (let n = 0; n < 200; n++) {
      const seq = 1 + Math.floor(random() * 20_001);
      assert.equal(open.from(seq), model.find((message) => message.seq >= seq) ?? null);
    }
  }
});
