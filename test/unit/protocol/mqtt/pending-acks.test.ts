import assert from "node:assert/strict";
import { test } from "node:test";
import { Allowance } from "../../../../src/base/allowance.ts";
import { seededRandom } from "../../../../src/base/random.ts";
import { InboundIds } from "../../../../src/core/inbound-ids.ts";
import { PendingAcks } from "../../../../src/protocol/mqtt/pending-acks.ts";
import { PUBACK, PUBCOMP, PUBREC } from "../../../../src/wire/mqtt/codes.ts";

interface Owed {
  readonly token: number;
  readonly type: number;
  readonly packetId: number;
  /** -1 while nobody has said. */
  reason: number;
}

test("300 random conversations: answers leave in order, and what is unanswered is what a list of ids says", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = seededRandom(seed);
    const below = (max: number): number => Math.floor(random() * max);
    const memory = new Allowance(below(2000));
    const max = 1 + below(100);
    const acks = new PendingAcks(max, memory);
    // Ids an earlier connection left, and those that count here, by what they wait for.
    const older = new InboundIds(memory);
    const olderIds = new Set<number>();
    for (let i = 0; i < below(40); i++) {
      const id = 1000 + below(60);
      older.add(id);
      olderIds.add(id);
    }
    acks.begin(older);
    const owed: Owed[] = [];
    /** QoS 2 ids taken, and whether they count on this connection. */
    const inbound = new Map<number, boolean>([...olderIds].map((id) => [id, false]));
    let unanswered = 0;
    let nextId = 1;
    const counted = new Set<Owed>();

    for (let step = 0; step < 400; step++) {
      const what = below(6);
      if (what < 3 && acks.hasRoom()) {
        assert.ok(acks.count < max);
        const qos2 = random() < 0.5;
        const packetId = nextId++;
        const type = qos2 ? PUBREC : PUBACK;
        const entry = { token: acks.pushPublish(type, packetId), type, packetId, reason: -1 };
        owed.push(entry);
        counted.add(entry);
        unanswered++;
        if (qos2) inbound.set(packetId, true);
        if (random() < 0.1) {
          // Refused at once by a full queue of 3.1.1: held, and taken back.
          acks.pop();
          owed.pop();
          counted.delete(entry);
          unanswered--;
          inbound.delete(packetId);
        }
      } else if (what === 3 && inbound.size > 0 && acks.hasRoom()) {
        const ids = [...inbound.keys()];
        const packetId = ids[below(ids.length)] as number;
        if (random() < 0.5) {
          // Sent again.
          const first = inbound.get(packetId) === false;
          owed.push({ token: acks.pushRepeated(packetId), type: PUBREC, packetId, reason: -1 });
          if (first) unanswered++;
          inbound.set(packetId, true);
        } else if (!owed.some((entry) => entry.type === PUBREC && entry.packetId === packetId)) {
          const counts = inbound.get(packetId) === true;
          const entry = { token: acks.pushRelease(PUBCOMP, packetId), type: PUBCOMP, packetId, reason: -1 };
          owed.push(entry);
          if (counts) counted.add(entry);
          inbound.delete(packetId);
        }
      } else if (owed.length > 0) {
        const entry = owed[below(owed.length)] as Owed;
        const reason = entry.type === PUBREC && counted.has(entry) && random() < 0.3 ? 0x97 : 0;
        acks.resolve(entry.token, reason);
        if (entry.reason < 0) entry.reason = reason;
        while (acks.ready) {
          const left = owed.shift() as Owed;
          const token = acks.first;
          assert.deepEqual(
            [token, acks.typeOf(token), acks.packetIdOf(token), acks.reasonOf(token)],
            [left.token, left.type, left.packetId, left.reason],
          );
          acks.shift();
          if (counted.has(left) && (left.type !== PUBREC || left.reason >= 0x80)) unanswered--;
          if (left.type === PUBREC && left.reason >= 0x80) inbound.delete(left.packetId);
        }
      }
      assert.equal(acks.count, owed.length);
      assert.equal(acks.unanswered, unanswered, `seed ${seed}, step ${step}`);
    }
    acks.end();
    older.end();
    assert.equal(memory.used, 0);
  }
});
