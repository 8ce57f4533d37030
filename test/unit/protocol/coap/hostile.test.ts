// Whatever a datagram holds, nothing throws, nothing is answered that must stay silent, and nothing that is not a
// request has an effect: every message against an oracle written from the RFC.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Mutations, validMessages, wrongMessages } from "../../../support/coap-hostile.ts";
import { complaintAbout, verdictOn } from "../../../support/coap-oracle.ts";
import { Harness } from "./harness.ts";

/** `npm test -- --long SEED` goes on from another seed, for longer. */
const LONG = process.env["SLUICE_LONG"];
const SEED = LONG === undefined ? 1 : Number(LONG);
const SECONDS = LONG === undefined ? 4 : 600;
/** Requests of these are remembered for minutes: after so many the clock goes on, and what was remembered is forgotten. */
const FORGET_AFTER = 3000;
/** An address that is not proven gets no more than so many times what came from there (RFC 9175 section 2.4). */
const AMPLIFICATION_MAX = 3;

/** Gives each datagram a source of its own, so that none is a repetition, and judges what comes back. */
class Court {
  readonly harness = new Harness();
  #count = 0;

  constructor() {
    this.harness.port.peersVerified = false;
    // A GET of it waits until the address is proven, or comes in small blocks.
    this.harness.retain("a", Buffer.alloc(3000, "v"));
  }

  judge(name: string, datagram: Buffer): void {
    const { harness } = this;
    const n = this.#count++;
    const address = `192.0.${(n >> 8) & 255}.${n & 255}`;
    const port = 1024 + (n % 60_000);
    const copy = Buffer.from(datagram);
    harness.receive(datagram, address, port);
    if (verdictOn(copy).answer === "acknowledgement" && harness.port.sent.every(isPing)) harness.advance(900);
    const sent = harness.port.sent.splice(0);
    const toIt = sent.filter((each) => each.address === address && each.port === port);
    const bytes = toIt.reduce((sum, each) => sum + each.bytes.length, 0);
    assert.ok(bytes <= AMPLIFICATION_MAX * copy.length, `${name}: ${bytes} bytes for ${copy.length}\n${hex(copy)}`);
    const answers = toIt.filter((each) => !isPing(each)).map((each) => each.bytes);
    const pings = toIt.filter(isPing).map((each) => hex(each.bytes));
    assert.ok(pings.length <= 2 && new Set(pings).size <= 1, `${name}: more than a ping and its repetition`);
    const complaint = complaintAbout(copy, answers);
    const message = () => `${name}: ${complaint}\n${hex(copy)}\n${answers.map(hex).join("\n")}`;
    assert.equal(complaint, null, message());
    const effects = harness.published.splice(0).length;
    if (!verdictOn(copy).mayRun) assert.equal(effects, 0, `${name} had an effect\n${hex(copy)}`);
    for (const { bytes } of sent) {
      const type = ((bytes[0] as number) >> 4) & 3;
      if (sent.length > answers.length)
        assert.ok(type < 2 || answers.includes(bytes), `${name} made somebody else get an ACK or RST`);
    }
    if (this.#count % FORGET_AFTER === 0) {
      harness.advance(300_000);
      harness.port.sent.length = 0;
    }
  }
}

/** Of ours: whether somebody is there. */
function isPing({ bytes }: { bytes: Buffer }): boolean {
  return bytes.length === 4 && bytes[0] === 0x40 && bytes[1] === 0;
}

function hex(bytes: Buffer): string {
  return bytes.length > 600 ? `${bytes.subarray(0, 600).toString("hex")}... (${bytes.length})` : bytes.toString("hex");
}

test("each message of the tables, valid and wrong, is answered as RFC 7252 sections 3, 4 and 5.4 say", () => {
  const court = new Court();
  for (const [name, bytes] of validMessages()) court.judge(name, bytes);
  for (const [name, bytes] of wrongMessages()) court.judge(name, bytes);
});

test("every truncation of every message, and every byte of it as each other byte", () => {
  const court = new Court();
  for (const [name, bytes] of validMessages()) {
    for (let length = 0; length < bytes.length; length++) {
      court.judge(`${name}, ${length} bytes of it`, Buffer.from(bytes.subarray(0, length)));
    }
    for (let at = 0; at < Math.min(bytes.length, 24); at++) {
      for (let value = 0; value < 256; value += 1 + (at & 1)) {
        const changed = Buffer.from(bytes);
        changed[at] = value;
        court.judge(`${name}, byte ${at} is ${value}`, changed);
      }
    }
  }
});

test("to All-CoAP-Nodes they have no effect, and get neither ACK nor RST nor error, and no more than three times their bytes", () => {
  const { harness } = new Court();
  const mutations = new Mutations(SEED);
  const datagrams = [...validMessages().values(), ...wrongMessages().values()];
  // What is sent to a group is a NON (RFC 7252 section 8.1).
  for (const bytes of validMessages().values())
    datagrams.push(Buffer.from(bytes).fill((bytes[0] as number) | 0x10, 0, 1));
  while (datagrams.length < 12_000) datagrams.push(mutations.next());
  let answered = 0;
  for (const [n, datagram] of datagrams.entries()) {
    harness.server.endpoint.multicast.onDatagram(datagram, `192.0.${(n >> 8) & 255}.${n & 255}`, 1024 + n, null);
    harness.advance(5_050);
    for (const { bytes } of harness.port.sent.splice(0)) {
      const [first = 0, code = 0] = bytes;
      assert.ok(((first >> 4) & 3) === 1 && code >> 5 === 2, `${hex(datagram)} got ${hex(bytes)}`);
      assert.ok(bytes.length <= AMPLIFICATION_MAX * datagram.length, hex(datagram));
      answered++;
    }
    assert.deepEqual(harness.published, [], hex(datagram));
  }
  assert.ok(answered >= 2, `${answered} answers: discovery and health`);
});

test(`${SECONDS} s of datagrams grown from the tables by changes, seed ${SEED}`, (context) => {
  const court = new Court();
  const mutations = new Mutations(SEED);
  const untilMs = performance.now() + SECONDS * 1000;
  let count = 0;
  const seen = new Map<string, number>();
  for (; count < 20_000 || performance.now() < untilMs; count++) {
    const datagram = mutations.next();
    const { answer, badOption } = verdictOn(datagram);
    const kind = badOption ? `${answer}, bad option` : answer;
    seen.set(kind, (seen.get(kind) ?? 0) + 1);
    court.judge(`seed ${SEED}, datagram ${count}`, datagram);
  }
  context.diagnostic(`${count} datagrams: ${[...seen].map(([kind, n]) => `${n} ${kind}`).join(", ")}`);
  assert.ok([...seen.values()].every((n) => n > 100) && seen.size >= 6, "it gets everywhere");
});
