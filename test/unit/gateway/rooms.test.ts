/** Router, queues and store as a gateway has them: what a message costs in the file, and whose durability it has. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { SystemClock } from "../../../src/base/clock.ts";
import { Counters } from "../../../src/base/counters.ts";
import { Log } from "../../../src/base/log.ts";
import { load } from "../../../src/config/load.ts";
import { type Message, OPEN } from "../../../src/core/message.ts";
import type { Outlet } from "../../../src/core/outlet.ts";
import { SETTLED } from "../../../src/core/ports.ts";
import { Publication } from "../../../src/core/publication.ts";
import { STORED_LATER } from "../../../src/core/router.ts";
import type { Session, SessionOutlet } from "../../../src/core/session.ts";
import { buildRooms, type Rooms } from "../../../src/gateway/rooms.ts";
import { FRAME_BYTES } from "../../../src/store/schema.ts";
import { Answers } from "../../support/store-fixture.ts";

const SESSIONS = 1000;

class World {
  readonly rooms: Rooms;
  readonly counters: Counters;
  readonly answers = new Answers();
  /** By session: packet ids sent to it that it has not acknowledged. */
  readonly owed = new Map<Session, number[]>();

  constructor(rooms: Rooms, counters: Counters) {
    this.rooms = rooms;
    this.counters = counters;
  }

  static async start(t: TestContext, text: string): Promise<World> {
    const dir = mkdtempSync(join(tmpdir(), "sluice-rooms-"));
    const { config, complaints } = load(text, { directory: dir, checkFiles: false });
    assert.deepEqual(complaints, []);
    assert.ok(config !== null);
    const counters = new Counters();
    const log = new Log({ level: "error", format: "text", write: () => {} });
    const stops: (() => void | Promise<void>)[] = [];
    t.after(async () => {
      for (const stop of stops.reverse()) await stop();
      rmSync(dir, { recursive: true });
    });
    const ground = {
      config: { ...config, dataDir: join(dir, "data") },
      log,
      clock: new SystemClock(),
      counters,
      stops,
    };
    return new World(await buildRooms(ground, () => 20, null), counters);
  }

  /** A session with a subscription whose client is away. */
  session(clientId: string, filter: string): Session {
    const opened = this.rooms.registry.open(clientId, { name: "", clientId }, false, 3600);
    assert.ok(typeof opened === "object");
    this.rooms.registry.subscribe(opened.session, { filter, options: 1, subscriptionId: 0 });
    return opened.session;
  }

  /** The session's client is there, and answers when it is told to. */
  attach(session: Session): void {
    const owed: number[] = [];
    this.owed.set(session, owed);
    const outlet: Outlet = {
      parts: () => 1,
      partOptions: (_message, _part, options) => options,
      sendPublish: (_message, _part, _options, _ids, packetId) => void owed.push(packetId),
      sendPubrel: () => {},
      writable: () => true,
    };
    this.rooms.registry.attach(session, outlet as SessionOutlet, 64, null, true);
  }

  acknowledge(session: Session): void {
    for (const packetId of this.owed.get(session)?.splice(0) ?? []) session.onPuback(packetId);
  }

  /** @returns the message that was made of it, and its answer */
  publish(topic: string, payload: string): { message: Message; stored: Promise<number> } {
    const p = new Publication();
    p.setParts(topic, Buffer.from(payload), 1, false);
    const { waiter, token, stored } = this.answers.expected();
    assert.equal(this.rooms.router.publish(p, waiter, token), STORED_LATER);
    return { message: p.kept as Message, stored };
  }

  /** Bytes written to the log of the database until what `act` publishes is stored. */
  async cost(act: () => Promise<unknown>): Promise<number> {
    await this.answers.barrier(this.rooms.store);
    const before = this.counters.get("store.bytes_written");
    await act();
    return (this.counters.get("store.bytes_written") as number) - (before as number);
  }

  backlogOf(session: Session): string[] {
    const texts: string[] = [];
    const onBacklog = (message: Message): boolean => texts.push(message.payload.toString()) > 0;
    const { store } = this.rooms;
    for (let at = 1; at <= store.lastSeq; ) at = store.read(session.queue.id, at, 64 * 1024, { onBacklog });
    return texts;
  }
}

test("one message to 1,000 sessions that are away is one small row, not a thousand", async (t) => {
  const world = await World.start(t, "{memory_limit: 32MiB, store: {commit_delay: 20ms}}");
  const sessions = Array.from({ length: SESSIONS }, (_, i) => world.session(`c${i}`, "news"));
  const rows = world.counters.get("store.rows_written") as number;
  const bytes = await world.cost(() => world.publish("news", "x".repeat(100)).stored);
  assert.equal(world.counters.get("store.rows_written"), rows + 1);
  assert.ok(bytes <= 2 * FRAME_BYTES, `${bytes} bytes: the row and the page above it`);
  for (const session of [sessions[0], sessions[SESSIONS - 1]])
    assert.deepEqual(world.backlogOf(session as Session), ["x".repeat(100)]);
  const ten = await world.cost(() =>
    Promise.all(Array.from({ length: 10 }, (_, i) => world.publish("news", `${i}`).stored)),
  );
  assert.ok(ten <= 10 * FRAME_BYTES, `${ten} bytes for ten in one group`);
});

test("of 1,000 sessions, who acknowledged before the commit is due is not in the row; when all have, there is none", async (t) => {
  const world = await World.start(t, "{memory_limit: 32MiB, store: {commit_delay: 100ms}}");
  const sessions = Array.from({ length: SESSIONS }, (_, i) => world.session(`c${i}`, "news"));
  for (const session of sessions) world.attach(session);
  const slow = sessions[SESSIONS / 2] as Session;
  const rows = world.counters.get("store.rows_written") as number;
  const bytes = await world.cost(async () => {
    const { message, stored } = world.publish("news", "partly");
    for (const session of sessions) if (session !== slow) world.acknowledge(session);
    assert.equal(message.state, OPEN);
    assert.equal(message.pending, 1);
    assert.equal(await stored, SETTLED);
  });
  assert.equal(world.counters.get("store.rows_written"), rows + 1);
  assert.ok(bytes <= 4 * FRAME_BYTES, `${bytes} bytes`);
  assert.deepEqual(world.backlogOf(slow), ["partly"]);
  assert.deepEqual(world.backlogOf(sessions[0] as Session), []);
  world.acknowledge(slow);
  const none = await world.cost(async () => {
    const { stored } = world.publish("news", "elided");
    for (const session of sessions) world.acknowledge(session);
    assert.equal(await stored, SETTLED);
  });
  assert.equal(none, 0);
  assert.equal(world.counters.get("store.rows_written"), rows + 1);
});

test("the first rule of durability that matches a topic holds for its messages, from the route's memory too", async (t) => {
  const rules = [
    '{match: "alarms/quiet/#", sync: normal}',
    '{match: "alarms/#", commit_delay: 0ms}',
    '{match: "debug/#", sync: off}',
    '{match: "slow/+", commit_delay: 1s, sync: normal}',
  ];
  const world = await World.start(t, `durability: [${rules.join(", ")}]`);
  world.session("away", "#");
  for (let round = 0; round < 2; round++) {
    const kept = ["alarms/fire", "alarms/quiet/1", "debug/x", "slow/1", "slow/1/2", "other"].map((topic) => {
      const { durability } = world.publish(topic, "x").message;
      return [durability?.commitDelayMs, durability?.sync];
    });
    assert.deepEqual(kept, [
      [0, null],
      [null, "normal"],
      [null, "off"],
      [1000, "normal"],
      [undefined, undefined],
      [undefined, undefined],
    ]);
  }
});
