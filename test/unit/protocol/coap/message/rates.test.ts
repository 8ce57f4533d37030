/** How fast one source may send, and what the others notice of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { generate } from "coap-packet";
import { SourceRates } from "../../../../../src/transport/source-rates.ts";
import { Harness } from "../harness.ts";

test("a source that is quiet for long may send a second's worth at once, then its rate", () => {
  const rates = new SourceRates();
  let let_in = 0;
  for (let i = 0; i < 1000; i++) if (rates.take(0x1234_5678, 0, 10)) let_in++;
  assert.equal(let_in, 100);
  for (let ms = 1; ms <= 10_000; ms++) if (rates.take(0x1234_5678, ms, 10)) let_in++;
  assert.equal(let_in, 1100);
});

test("who shares one bucket with a flood is not slowed down, and who shares both is", () => {
  const rates = new SourceRates(16);
  const flood = 0x0003_0005;
  for (let i = 0; i < 1000; i++) rates.take(flood, 0, 10);
  assert.equal(rates.take(0x0004_0005, 0, 10), true);
  assert.equal(rates.take(0x0003_0006, 0, 10), true);
  assert.equal(rates.take(0x0013_0015, 0, 10), false);
});

test("RFC 8516: beyond `rate` a CON gets 4.29 with Max-Age now and then, everything else nothing, and nothing is done", () => {
  const h = new Harness({ rate: 20 });
  const codes = new Map<string, number>();
  for (let i = 0; i < 100; i++) {
    const [answer] = h.request({ code: "PUT", token: Buffer.from([i]) }, "/ps/a", "192.0.2.7", 1000 + i);
    const code = answer?.code ?? "none";
    codes.set(code, (codes.get(code) ?? 0) + 1);
    if (code !== "4.29") continue;
    assert.deepEqual([answer?.type, answer?.token], ["ACK", Buffer.from([i]).toString("hex")]);
    assert.equal(answer?.options.get("Max-Age")?.readUInt8(), 1);
  }
  assert.deepEqual(
    [...codes],
    [
      ["2.04", 20],
      ["4.29", 2],
      ["none", 78],
    ],
  );
  assert.equal(h.published.length, 20);
  assert.equal(h.request({ code: "PUT", confirmable: false }, "/ps/a").length, 0);
  assert.equal(h.request({ code: "PUT" }, "/ps/a", "192.0.2.8")[0]?.code, "2.04", "another source is let in");
  h.advance(1000);
  assert.equal(h.ask({ code: "PUT" }, "/ps/a").code, "2.04");
  assert.equal(h.counters.get("coap.too_fast"), 81);
});

test("pings and malformed messages are reset no faster than `rate`", () => {
  const h = new Harness({ rate: 20 });
  for (let i = 0; i < 100; i++) h.receive(generate({ code: "0.00", confirmable: true, messageId: i }));
  assert.equal(h.take().length, 20);
});
