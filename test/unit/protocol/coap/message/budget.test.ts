/** What the message layer is billed for, and what it takes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ManualClock } from "../../../../../src/base/clock.ts";
import { Counters } from "../../../../../src/base/counters.ts";
import { EXCHANGE_BYTES, ExchangeTable } from "../../../../../src/protocol/coap/message/exchange-table.ts";
import { budget, messageLimits } from "../../../../../src/protocol/coap/message/message-tables.ts";
import { PEER_BYTES, PeerTable } from "../../../../../src/protocol/coap/message/peer-table.ts";
import { REPLY_BYTES, ReplyPool } from "../../../../../src/protocol/coap/message/reply-pool.ts";
import { LOGIN_BYTES_MAX } from "../../../../../src/protocol/coap/shared.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

test("all listeners together have 960 KiB, logins among it", () => {
  const bytes = budget(messageLimits(4096)).reduce((sum, line) => sum + line.bytes, LOGIN_BYTES_MAX);
  assert.ok(bytes <= 960 * 1024, `${bytes}`);
});

test("an exchange takes what it is billed for, in arrays of fixed length", () => {
  const before = process.memoryUsage().arrayBuffers;
  const table = new ExchangeTable(new Counters(), { exchangesMax: 32_767, responseBytesMax: 1 });
  const bytes = process.memoryUsage().arrayBuffers - before;
  assert.ok(bytes <= 32_768 * EXCHANGE_BYTES, `${bytes}`);
  for (let i = 0; i < 100_000; i++) table.answer(table.open(1, i & 0xffff, i, i + 1));
  assert.equal(table.size, 32_767);
});

test("a peer and a reply take no more than they are billed for", () => {
  const peers = new PeerTable(new ManualClock(), () => 0.5, new Counters(), { peersMax: 32_000, heldMax: 1 });
  const replies = new ReplyPool(new Counters(), { repliesMax: 32_000, perSourceMax: 32_000, responseBytesMax: 1 });
  const endpoint = {} as Parameters<PeerTable["take"]>[0];
  const token = Buffer.from("12345678");
  const fill = (from: number, end: number): void => {
    for (let i = from; i < end; i++) {
      const address = Buffer.from(`192.168.${i >> 8}.${i & 255}`).toString("latin1");
      peers.verify(peers.take(endpoint, peers.hashOf(address), address, 40_000, null, false));
    }
  };
  const take = (count: number): void => {
    for (let i = 0; i < count; i++) replies.take(i).setToken(token, 0, 8);
  };
  const weigh = (act: () => void): number => {
    collect();
    const before = process.memoryUsage().heapUsed;
    act();
    collect();
    return process.memoryUsage().heapUsed - before;
  };
  fill(0, 2000);
  take(2000);
  const peer = weigh(() => fill(2000, 30_000)) / 28_000;
  const reply = weigh(() => take(28_000)) / 28_000;
  assert.ok(peer <= PEER_BYTES, `${peer} B a peer`);
  assert.ok(reply <= REPLY_BYTES, `${reply} B a reply`);
  assert.deepEqual([peers.size, replies.inUse], [30_000, 30_000]);
});
