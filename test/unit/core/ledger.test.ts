import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManualClock } from "../../../src/base/clock.ts";
import { Counters } from "../../../src/base/counters.ts";
import { TimerWheel } from "../../../src/base/timer-wheel.ts";
import { DROP_RECEIVERS_MAX, OTHERS } from "../../../src/core/drop-counts.ts";
import { type DropChanges, LEDGER_ENTRIES_MAX, Ledger } from "../../../src/core/ledger.ts";
import { LedgerKeeper } from "../../../src/core/ledger-keeper.ts";
import type { StoreHealth } from "../../../src/core/ports.ts";

function drop(ledger: Ledger, receiver: string, cause: "queue-full" | "too-old" = "queue-full", count = 1): void {
  ledger.record(receiver, () => "t", cause, 1000, count);
}

describe("the ledger", () => {
  test("counts by cause and receiver, who lost last first", () => {
    const counters = new Counters();
    const ledger = new Ledger(counters);
    drop(ledger, "session:a");
    drop(ledger, "uplink:b", "too-old", 5);
    drop(ledger, "session:a", "too-old");
    drop(ledger, "session:a");
    assert.deepEqual(ledger.byReceiver(), [
      { receiver: "session:a", causes: { "queue-full": 2, "too-old": 1 } },
      { receiver: "uplink:b", causes: { "too-old": 5 } },
    ]);
    assert.equal(counters.get("drops.too-old"), 6);
    assert.deepEqual(
      ledger.entries().map(({ receiver, cause, count }) => [receiver, cause, count]),
      [
        ["session:a", "queue-full", 1],
        ["uplink:b", "too-old", 5],
        ["session:a", "too-old", 1],
        ["session:a", "queue-full", 1],
      ],
    );
  });

  test("however many lose something while the store takes nothing, it only remembers to forget whom the store knows", () => {
    const ledger = new Ledger(new Counters());
    drop(ledger, "session:known");
    ledger.takeChanges();
    for (let i = 0; i < 20 * DROP_RECEIVERS_MAX; i++) drop(ledger, `session:${i}`);
    assert.deepEqual(ledger.takeChanges()?.forgotten, ["session:known"]);
    for (let i = 0; i < DROP_RECEIVERS_MAX; i++) drop(ledger, `session:late-${i}`);
    assert.equal(ledger.takeChanges()?.forgotten.length, DROP_RECEIVERS_MAX);
  });

  test(`keeps ${LEDGER_ENTRIES_MAX} entries and counts ${DROP_RECEIVERS_MAX} receivers, the others together`, () => {
    const ledger = new Ledger(new Counters());
    for (let n = 0; n < DROP_RECEIVERS_MAX + 10; n++) drop(ledger, `session:${n}`, "queue-full", 2);
    drop(ledger, "session:5", "too-old");
    const all = ledger.byReceiver();
    assert.equal(all.length, DROP_RECEIVERS_MAX + 1);
    assert.deepEqual(all[0], { receiver: "session:5", causes: { "too-old": 1 } });
    assert.deepEqual(all.at(-1), { receiver: OTHERS, causes: { "queue-full": 22 } });
    assert.equal(ledger.entries().length, LEDGER_ENTRIES_MAX);
    assert.equal(ledger.entries().at(-1)?.receiver, "session:5");
  });

  test("long names are cut, and do not grow it", () => {
    const ledger = new Ledger(new Counters());
    ledger.record(`session:${"x".repeat(500)}`, () => "t".repeat(500), "queue-full", 0);
    const [entry] = ledger.entries();
    assert.equal(entry?.receiver.length, 96);
    assert.equal(entry?.topic.length, 96);
    assert.equal(ledger.byReceiver()[0]?.receiver, entry?.receiver);
  });

  test("gives its changes once, and takes them up again after a restart", () => {
    const ledger = new Ledger(new Counters());
    const kept = { entries: new Map<number, DropChanges["entries"][number]>(), counts: new Map<string, number>() };
    const take = (): void => {
      const changes = ledger.takeChanges();
      for (const entry of changes?.entries ?? []) kept.entries.set(entry.id, entry);
      for (const id of kept.entries.keys()) if (id < (changes?.firstId ?? 0)) kept.entries.delete(id);
      for (const gone of changes?.forgotten ?? [])
        for (const key of kept.counts.keys()) if (key.startsWith(`${gone} `)) kept.counts.delete(key);
      for (const { receiver, cause, count } of changes?.counts ?? []) kept.counts.set(`${receiver} ${cause}`, count);
    };
    for (let n = 0; n < 2000; n++) {
      drop(ledger, `session:${(n * 7) % 300}`, n % 3 === 0 ? "too-old" : "queue-full");
      if (n % 10 === 0) drop(ledger, "uplink:cloud");
      if (n % 37 === 0) take();
    }
    take();
    assert.equal(ledger.takeChanges(), null);
    assert.equal(kept.entries.size, LEDGER_ENTRIES_MAX);
    const next = new Ledger(new Counters());
    const counts = [...kept.counts].map(([key, count]) => {
      const [receiver, cause] = key.split(" ") as [string, string];
      return { receiver, cause, count };
    });
    next.restore({
      entries: [...kept.entries.values(), { ...kept.entries.values().next().value, id: 1e6, cause: "new" } as never],
      counts,
    });
    const sorted = (l: Ledger): unknown[] => l.byReceiver().sort((a, b) => (a.receiver < b.receiver ? -1 : 1));
    assert.deepEqual(sorted(next), sorted(ledger));
    assert.deepEqual(next.entries().slice(-200), ledger.entries().slice(-200));
    assert.equal(next.takeChanges(), null);
    drop(next, "session:z");
    assert.ok((next.entries().at(-1)?.id ?? 0) > 1e6);
  });
});

class Kept {
  health: StoreHealth = "ok";
  puts: { entries: number; alone: boolean; atMs: number }[] = [];
  readonly clock: ManualClock;
  readonly startMs: number;

  constructor(clock: ManualClock) {
    this.clock = clock;
    this.startMs = clock.nowMs();
  }

  loadDrops() {
    return { entries: [], counts: [] };
  }

  putDrops(changes: DropChanges, alone: boolean): void {
    this.puts.push({ entries: changes.entries.length, alone, atMs: this.clock.nowMs() - this.startMs });
  }
}

describe("the ledger's keeper", () => {
  function world() {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock);
    const ledger = new Ledger(new Counters());
    const store = new Kept(clock);
    const keeper = new LedgerKeeper(ledger, store, wheel, clock, new Counters());
    const pass = (ms: number): void => {
      for (let rest = ms; rest > 0; rest -= 500) {
        clock.advance(500);
        wheel.tick();
      }
    };
    return { ledger, store, keeper, pass };
  }

  test("the first drop is kept within two seconds, with a commit of its own", () => {
    const { ledger, store, pass } = world();
    drop(ledger, "a");
    pass(2000);
    assert.deepEqual(
      store.puts.map(({ entries, alone }) => [entries, alone]),
      [[1, true]],
    );
  });

  test("under steady drops: along with others every ten seconds, alone once a minute, nothing when all is kept", () => {
    const { ledger, store, pass } = world();
    for (let s = 0; s < 600; s++) {
      drop(ledger, `session:${s}`);
      pass(1000);
    }
    assert.ok(store.puts.length <= 61, `${store.puts.length} times`);
    const alone = store.puts.filter((put) => put.alone).length;
    assert.ok(alone >= 9 && alone <= 11, `${alone} alone`);
    pass(120_000);
    const settled = store.puts.length;
    assert.equal(store.puts.at(-1)?.alone, true, "the last is not left to chance");
    pass(600_000);
    assert.equal(store.puts.length, settled);
  });

  test("a full disk is not asked for room, and gets what is new when it has some", () => {
    const { ledger, store, pass } = world();
    store.health = "full";
    drop(ledger, "a");
    pass(60_000);
    assert.deepEqual(store.puts, []);
    store.health = "ok";
    pass(11_000);
    assert.equal(store.puts.length, 1);
  });

  test("the end hands over what is left", () => {
    const { ledger, store, keeper, pass } = world();
    drop(ledger, "a");
    keeper.close();
    assert.equal(store.puts.length, 1);
    drop(ledger, "b");
    pass(60_000);
    assert.equal(store.puts.length, 1);
  });
});
