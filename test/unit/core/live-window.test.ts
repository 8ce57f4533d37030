import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Allowance } from "../../../src/base/allowance.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { LiveWindow, RING_FREE } from "../../../src/core/live-window.ts";
import { PACKET_IDS, SPAN_MAX } from "../../../src/core/packet-ids.ts";

/** Close to where the ordinals begin anew, so that runs pass it. */
const NEAR_REBASE = 4 * PACKET_IDS * SPAN_MAX - 300;

describe("the window of a session that ends with its connection", () => {
  for (const first of [0, PACKET_IDS - 200, NEAR_REBASE])
    for (let seed = 1; seed <= 20; seed++)
      test(`knows what is in flight as a table of ids would, from ordinal ${first} on (seed ${seed})`, () => {
        const random = seededRandom(seed);
        const window = new LiveWindow(null, first);
        window.windowMax = 1 + Math.floor(random() * 300);
        /** QoS and whether PUBREC came, by packet id. */
        const table = new Map<number, { qos: number; received: boolean }>();
        for (let step = 0; step < 3000; step++) {
          assert.equal(window.outstanding, table.size);
          const ids = [...table.keys()];
          const packetId =
            random() < 0.1
              ? 1 + Math.floor(random() * PACKET_IDS)
              : (ids[random() < 0.7 ? 0 : Math.floor(random() * ids.length)] ?? 1);
          const entry = table.get(packetId);
          assert.equal(window.qosOf(packetId), entry?.qos ?? 0);
          const what = random();
          if (what < 0.5) {
            if (window.hasRoom) {
              const qos = random() < 0.5 ? 1 : 2;
              const taken = window.push(qos);
              assert.ok(taken >= 1 && taken <= PACKET_IDS && !table.has(taken), `${taken} is free`);
              table.set(taken, { qos, received: false });
            } else {
              assert.equal(table.size, window.windowMax);
            }
          } else if (what < 0.8) {
            assert.equal(window.finish(packetId), entry?.received === false);
            if (entry?.received === false) table.delete(packetId);
          } else if (what < 0.9) {
            const before = entry === undefined || entry.qos === 1 ? 0 : entry.received ? 3 : 2;
            assert.equal(window.received(packetId), before);
            if (before > 0) table.set(packetId, { qos: 2, received: true });
          } else {
            assert.equal(window.complete(packetId), entry?.received === true);
            if (entry?.received === true) table.delete(packetId);
          }
        }
      });

  test("who never answers its oldest message gets no more than SPAN_MAX beyond it, in 1 KiB", () => {
    const window = new LiveWindow();
    window.windowMax = 10;
    const oldest = window.push(1);
    let sent = 1;
    for (; window.hasRoom; sent++) assert.equal(window.finish(window.push(1)), true);
    assert.deepEqual([sent, window.bytes], [SPAN_MAX, 1024]);
    assert.equal(window.finish(oldest), true);
    assert.deepEqual([window.hasRoom, window.head, window.outstanding], [true, window.next, 0]);
  });

  test("where the memory of all rings has no room for a longer one, a window ends there; it comes back with the connection", () => {
    const memory = new Allowance(512);
    const fill = (window: LiveWindow): number => {
      window.windowMax = SPAN_MAX;
      let sent = 0;
      for (; window.hasRoom; sent++) window.push(1);
      return sent;
    };
    const windows = Array.from({ length: 3 }, () => new LiveWindow(memory));
    assert.deepEqual(windows.map(fill), [2 * RING_FREE, RING_FREE, RING_FREE]);
    assert.equal(memory.used, 512);
    windows[0]?.clear();
    assert.deepEqual([memory.used, windows[0]?.bytes, windows[0]?.empty], [0, 0, true]);
    assert.equal(fill(new LiveWindow(memory)), 2 * RING_FREE);
  });

  test("every packet id comes in its turn, and 0 is none", () => {
    const window = new LiveWindow();
    window.windowMax = 1;
    for (let n = 0; n < 2 * PACKET_IDS; n++) {
      assert.equal(window.push(1), 1 + (n % PACKET_IDS));
      assert.equal(window.finish(0), false);
      assert.equal(window.finish(1 + (n % PACKET_IDS)), true);
    }
  });
});
