import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../src/base/random.ts";
import { WAITING_BYTES, WaitingHellos } from "../../../../src/transport/dtls/waiting.ts";

interface Hello {
  address: string;
  port: number;
  second: number;
  datagram: string;
}

function taken(waiting: WaitingHellos): Hello {
  waiting.peek();
  waiting.shift();
  const { address, port, second, datagram } = waiting;
  return { address, port, second, datagram: datagram.toString("latin1") };
}

test("first come, first out, whatever their lengths; within its bytes, and a peer that comes again keeps its place", () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = seededRandom(seed);
    const pick = (n: number): number => Math.floor(random() * n);
    const waiting = new WaitingHellos();
    const model: Hello[] = [];
    let refused = 0;
    for (let step = 0; step < 3000; step++) {
      if (random() < 0.6) {
        const address = random() < 0.5 ? `10.0.0.${pick(200)}` : `2001:db8::${pick(200).toString(16)}`;
        const port = 1 + pick(65_535);
        const datagram = String.fromCharCode(33 + pick(90)).repeat(1 + pick(400));
        const room = waiting.push(Buffer.from(datagram), address, port, step);
        if (room) model.push({ address, port, second: step, datagram });
        else refused++;
        const bytes = model.reduce((sum, hello) => sum + 9 + hello.address.length + hello.datagram.length, 0);
        assert.ok(bytes <= WAITING_BYTES);
        if (!room) assert.ok(bytes > WAITING_BYTES - 2 * 500, `seed ${seed}: refused with ${bytes} bytes`);
        assert.ok(waiting.push(Buffer.from("again"), address, port, step) || !room);
        if (!room && waiting.count > model.length) model.push({ address, port, second: step, datagram: "again" });
      } else if (model.length > 0) {
        assert.deepEqual(taken(waiting), model.shift(), `seed ${seed}, step ${step}`);
      }
      assert.equal(waiting.count, model.length, `seed ${seed}, step ${step}`);
    }
    while (model.length > 0) assert.deepEqual(taken(waiting), model.shift());
    assert.ok(refused > 0);
  }
});

test("a ClientHello of more than 1,024 bytes does not wait", () => {
  const waiting = new WaitingHellos();
  assert.equal(waiting.push(Buffer.alloc(1025), "10.0.0.1", 1, 0), false);
  assert.equal(waiting.push(Buffer.alloc(1024), "10.0.0.1", 1, 0), true);
  assert.equal(waiting.count, 1);
});
