import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Allowance } from "../../../src/base/allowance.ts";
import { Counters } from "../../../src/base/counters.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { AnyOrderQueue } from "../../../src/core/any-order-queue.ts";
import type { DrainOrder } from "../../../src/core/any-order-source.ts";
import { Ledger } from "../../../src/core/ledger.ts";
import type { QueueHost } from "../../../src/core/outlet.ts";
import type { Sliced } from "../../../src/core/turns.ts";
import { inspectFile } from "../../../src/store/inspect-file.ts";
import { DATABASE_NAME } from "../../../src/store/open.ts";
import type { SqliteStore } from "../../../src/store/store.ts";
import { clockOf } from "../../support/clock-of.ts";
import { cutsOf } from "../../support/cuts.ts";
import { LIMITS, Peer } from "../../support/queue-world.ts";
import { Answers, crashImage, dataDir, messageOfText, openTestStore } from "../../support/store-fixture.ts";

const WINDOW = 6;

interface Made {
  readonly queue: AnyOrderQueue;
  readonly due: Sliced[];
}

function queueOn(store: SqliteStore, order: DrainOrder): Made {
  const counters = new Counters();
  const time = clockOf(() => 1000);
  const due: Sliced[] = [];
  const host: QueueHost = {
    store,
    time,
    ledger: new Ledger(counters),
    waitingMemory: new Allowance(1e6),
    cuts: cutsOf(time, counters),
    schedule: (sliced) => {
      due.push(sliced);
    },
  };
  const record = store.createReceiver("uplink", "cloud");
  const queue = new AnyOrderQueue(host, "uplink:cloud", record, { ...LIMITS, windowBytes: 3000 }, order, WINDOW);
  store.register(queue);
  return { queue, due };
}

describe("a queue without the order of the log, on the store that writes", () => {
  for (const order of ["newest-first", "interleave"] as const) {
    for (let seed = 1; seed <= 3; seed++) {
      test(`${order}, seed ${seed}: whatever a crash leaves, its counts agree, and nothing that was stored is missing`, async (t) => {
        const random = seededRandom(seed);
        const peer = new Peer();
        const stored = new Set<string>();
        const qosOf = new Map<string, number>();
        let dir = dataDir(t);
        let number = 0;
        let resumed = false;
        for (let life = 0; life < 4; life++) {
          const { store } = await openTestStore(dir);
          const answers = new Answers();
          const { queue, due } = queueOn(store, order);
          const fresh: string[] = [];
          for (let step = 0; step < 250; step++) {
            const dice = random();
            if (dice < 0.45) {
              const qos = 1 + Math.floor(random() * 2);
              const message = messageOfText(`m${number++}`, "t", qos);
              message.addReceiver(queue.id, qos);
              store.append(message);
              queue.enqueue(message, qos, null);
              fresh.push(`m${number - 1}`);
              qosOf.set(`m${number - 1}`, qos);
            } else if (dice < 0.8) {
              if (queue.online) peer.answer(queue, Math.floor(random() * Math.min(3, peer.owed.length)));
            } else if (dice < 0.9) {
              await answers.barrier(store);
              for (const payload of fresh.splice(0)) stored.add(payload);
            } else if (dice < 0.94) {
              queue.detach();
            } else if (!queue.online) {
              peer.owed = [];
              queue.attach(peer, WINDOW, resumed);
              resumed = true;
            }
            for (const sliced of due.splice(0)) sliced.runScheduled();
          }
          queue.detach();
          const looked = inspectFile(join(crashImage(t, dir), DATABASE_NAME));
          assert.deepEqual(looked.problems, []);
          dir = crashImage(t, dir);
        }
        const { store } = await openTestStore(dir);
        const answers = new Answers();
        const { queue, due } = queueOn(store, order);
        peer.owed = [];
        queue.attach(peer, WINDOW, resumed);
        while (queue.count > 0 || !queue.inflight.empty) {
          while (peer.owed.length > 0) peer.answer(queue, 0);
          for (const sliced of due.splice(0)) sliced.runScheduled();
          await answers.barrier(store);
        }
        const times = new Map<string, number>();
        for (const payload of peer.delivered) times.set(payload, (times.get(payload) ?? 0) + 1);
        for (const payload of stored) assert.ok(times.has(payload), `${payload} was stored and never came`);
        for (const [payload, count] of times)
          if (qosOf.get(payload) === 2) assert.equal(count, 1, `${payload} came ${count} times`);
      });
    }
  }
});
