// Slaves and wires as they should not be: whatever comes, only what a register holds is published, nobody is told that a
// write was done which was not, and slaves that behave are asked as often as they should be.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Random, seededRandom } from "../../../../src/base/random.ts";
import { crc16 } from "../../../../src/wire/modbus/crc.ts";
import { Harness, registers, slave } from "./harness.ts";

const TIMEOUT_MS = 40;

function frame(unit: number, pdu: Buffer): Buffer {
  const bytes = Buffer.concat([Buffer.of(unit), pdu, Buffer.alloc(2)]);
  bytes.writeUInt16LE(crc16(bytes, 0, bytes.length - 2), bytes.length - 2);
  return bytes;
}

/** What a bad slave says instead of `pdu`, and how much later. */
const MISDEEDS: readonly ((random: Random, unit: number, pdu: Buffer) => { bytes: Buffer; afterMs: number })[] = [
  (random, unit, pdu) => ({ bytes: frame(unit, pdu), afterMs: random() * 1.9 * TIMEOUT_MS }),
  (_random, unit, pdu) => ({ bytes: frame(unit + 1, pdu), afterMs: 1 }),
  (_random, unit, pdu) => ({
    bytes: frame(unit, Buffer.concat([Buffer.of((pdu[0] as number) ^ 1), pdu.subarray(1)])),
    afterMs: 1,
  }),
  (random, unit, pdu) => {
    const bytes = frame(unit, pdu);
    const at = Math.floor(random() * bytes.length);
    bytes.writeUInt8((bytes[at] as number) ^ (1 + Math.floor(random() * 255)), at);
    return { bytes, afterMs: 1 };
  },
  (random, unit, pdu) => ({ bytes: Buffer.concat([frame(unit, pdu), noise(random, 300)]), afterMs: 1 }),
  (random, unit, pdu) => ({ bytes: Buffer.concat([noise(random, 20), frame(unit, pdu)]), afterMs: 1 }),
  (random, unit, pdu) => ({ bytes: frame(unit, pdu).subarray(0, Math.floor(random() * pdu.length)), afterMs: 1 }),
  (_random, unit, pdu) => ({ bytes: frame(unit, Buffer.concat([pdu, Buffer.of(0, 0)])), afterMs: 1 }),
  (_random, unit, pdu) => ({ bytes: frame(unit, Buffer.of((pdu[0] as number) | 0x80, 6)), afterMs: 1 }),
  (_random, unit, pdu) => ({ bytes: Buffer.concat([frame(unit, pdu), frame(unit, pdu)]), afterMs: 1 }),
  () => ({ bytes: Buffer.alloc(0), afterMs: 1 }),
];

function noise(random: Random, most: number): Buffer {
  return Buffer.from(Array.from({ length: Math.floor(random() * most) }, () => Math.floor(random() * 256)));
}

for (const echoes of [false, true]) {
  test(`a slave that answers late, wrong, twice, cut or with noise${echoes ? ", on a wire that echoes" : ""}, never makes a wrong value`, () => {
    for (let seed = 1; seed <= 6; seed++) {
      const random = seededRandom(seed);
      // Registers of slave 1 hold their address, those of slave 2 theirs + 1000.
      const points = [0, 10, 20, 30].map((address) => ({ name: `p${address}`, address, publish: "always" }));
      const written = { name: "w", address: 40, write: true };
      const h = new Harness({
        timeout: `${TIMEOUT_MS}ms`,
        backoff: { min: "100ms", max: "200ms" },
        slaves: [slave(1, [...points, written], { interval: "50ms" }), slave(2, points, { interval: "50ms" })],
      });
      h.bus.echoes = echoes;
      const bad = Array.from({ length: 41 }, (_, i) => i);
      const answerBad = registers(bad);
      const late: { bytes: Buffer; atMs: number }[] = [];
      h.bus.slaves.set(2, registers(bad.map((value) => value + 1000)));
      h.bus.slaves.set(1, (pdu) => {
        const answer = answerBad(pdu) as Buffer;
        if (random() < 0.4) return answer;
        const misdeed = MISDEEDS[Math.floor(random() * MISDEEDS.length)] as (typeof MISDEEDS)[number];
        const { bytes, afterMs } = misdeed(random, 1, answer);
        late.push({ bytes, atMs: h.clock.nowMs() + afterMs });
        return null;
      });
      h.bus.open();
      let commands = 0;
      const told: string[] = [];
      for (let ms = 0; ms < 10_000; ms++) {
        h.advance(1);
        if (ms % 200 === 0) h.deliver("serial/bus/s1/w/set", `${++commands}`, 1);
        for (let i = late.length - 1; i >= 0; i--) {
          const { bytes, atMs } = late[i] as { bytes: Buffer; atMs: number };
          if (atMs > h.clock.nowMs()) continue;
          late.splice(i, 1);
          if (bytes.length > 0) h.bus.handler?.onData(bytes);
        }
        for (const line of h.taken()) {
          const [, unit, point, value] = /^serial\/bus\/s(\d)\/(\S+) (.*)$/.exec(line) as unknown as string[];
          if (point === "w/set/result") {
            if ((value as string).includes('"ok":true'))
              assert.ok((value as string).includes(`:${bad[40]}}`), `${seed}: ${line}, and it holds ${bad[40]}`);
            told.push(line);
          } else if (point !== "w") {
            assert.equal(Number(value), Number(point?.slice(1)) + (unit === "2" ? 1000 : 0), `${seed}: ${line}`);
          }
        }
      }
      assert.ok(told.length >= commands - 2, `${seed}: ${told.length} results of ${commands} commands`);
      const [one, two] = h.line.status().slaves;
      assert.ok((two?.pollsPerSecond ?? 0) > 40, `${seed}: slave 2 ${two?.pollsPerSecond} of 80`);
      assert.ok((one?.timeouts ?? 0) > 10 && (one?.exceptions ?? 0) > 0);
      for (const counter of ["bad_frames", "stray_bytes"]) assert.ok(h.counters.get(`modbus.${counter}`) > 0, counter);
      if (echoes) assert.ok(h.counters.get("modbus.echoes") > 100);
    }
  });
}
