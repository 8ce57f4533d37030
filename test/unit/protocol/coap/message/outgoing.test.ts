/** Messages of ours: NON and CON, one CON at a time for each peer, and who is told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BUSY,
  CLOSED,
  OutgoingMessage,
  type OutgoingOwner,
  SENT,
  TOO_LARGE,
} from "../../../../../src/protocol/coap/message/outgoing.ts";
import type { Peer } from "../../../../../src/protocol/coap/message/peer.ts";
import { SENT_NONS_MAX } from "../../../../../src/protocol/coap/message/sent-nons.ts";
import { CONTENT } from "../../../../../src/wire/coap/codes.ts";
import { Harness } from "../harness.ts";

const TOKEN = Buffer.from("beef", "hex");
const NO_LIMIT = 65_507;

/** An owner that writes down what it is told. */
class Owner implements OutgoingOwner {
  readonly told: string[] = [];
  readonly out = new OutgoingMessage(this);
  readonly #h: Harness;
  /** What `onFree` sends; null = nothing. */
  next: string | null = null;

  constructor(h: Harness, bytesMax = NO_LIMIT, peer: Peer = h.peer()) {
    this.#h = h;
    h.server.endpoint.begin(this.out, peer, bytesMax);
  }

  send(confirmable: boolean, payload: string): number {
    return this.#h.server.endpoint.send(this.out, confirmable, CONTENT, TOKEN, [], Buffer.from(payload));
  }

  replace(payload: string): number {
    return this.#h.server.endpoint.replace(this.out, CONTENT, TOKEN, [], Buffer.from(payload));
  }

  onAcknowledged(): void {
    this.told.push("acknowledged");
  }

  onReset(): void {
    this.told.push("reset");
  }

  onGivenUp(): void {
    this.told.push("given up");
  }

  onFree(): void {
    this.told.push("free");
    if (this.next !== null) assert.equal(this.send(true, this.next), SENT);
  }
}

/** A harness whose peer is known; what it was sent for that is taken away. */
function known(): Harness {
  const h = new Harness();
  h.port.peersVerified = false;
  h.request({}, "/health");
  h.take();
  return h;
}

function prove(h: Harness, address?: string, port?: number): void {
  h.shared.messages.peers.verify(h.peer(address, port));
}

test("a CON of ours is acknowledged once; the peer that acknowledged it is proven", () => {
  const h = known();
  const owner = new Owner(h);
  h.take();
  assert.equal(owner.send(true, "one"), SENT);
  const [sent] = h.take();
  assert.deepEqual([sent?.type, sent?.code, sent?.token, sent?.payload], ["CON", "2.05", "beef", "one"]);
  assert.equal(h.peer().verified, false);
  h.acknowledge(sent);
  h.acknowledge(sent);
  assert.deepEqual(owner.told, ["acknowledged"]);
  assert.equal(h.peer().verified, true);
  h.advance(100_000);
  assert.equal(h.take().length, 0);
});

test("an RST of a CON of ours, and MAX_RETRANSMIT without an answer, are told as what they are", () => {
  const h = known();
  const owner = new Owner(h);
  h.take();
  owner.send(true, "one");
  h.acknowledge(h.take()[0], "RST");
  owner.send(true, "two");
  h.advance(100_000);
  assert.deepEqual(owner.told, ["reset", "given up"]);
  assert.equal(h.take().length, 5);
  assert.equal(h.wheel.armed, 0);
});

test("NSTART: one CON at a time for a peer; who waits is told in turn, and sends what is newest then", () => {
  const h = known();
  const [a, b, c, d] = [new Owner(h), new Owner(h), new Owner(h), new Owner(h)] as const;
  h.take();
  assert.deepEqual(
    [a, b, c, d].map((owner) => owner.send(true, "old")),
    [SENT, BUSY, BUSY, BUSY],
  );
  assert.equal(b.send(true, "old"), BUSY, "asking twice is waiting once");
  b.next = null;
  c.next = "newest";
  h.acknowledge(h.take()[0]);
  assert.deepEqual([b.told, c.told, d.told], [["free"], ["free"], []]);
  const [sent, ...others] = h.take();
  assert.deepEqual([sent?.payload, others.length], ["newest", 0]);
  h.server.endpoint.cancel(d.out);
  h.acknowledge(sent);
  assert.deepEqual(d.told, []);
});

test("a NON goes while a CON is in flight, and other peers do not wait", () => {
  const h = known();
  const con = new Owner(h);
  const non = new Owner(h);
  prove(h);
  h.request({}, "/health", "192.0.2.8", 1);
  const other = new Owner(h, NO_LIMIT, h.peer("192.0.2.8", 1));
  h.take();
  assert.deepEqual([con.send(true, "con"), non.send(false, "non"), other.send(true, "other")], [SENT, SENT, SENT]);
  assert.deepEqual(
    h.take().map((sent) => sent.type),
    ["CON", "NON", "CON"],
  );
});

test("the RST of a NON of ours finds its owner; of one that ended, of another peer and of one long ago it finds nobody", () => {
  const h = known();
  const owner = new Owner(h);
  h.take();
  owner.send(false, "one");
  const [one] = h.take();
  h.acknowledge(one, "RST", "192.0.2.9");
  h.acknowledge(one, "RST", "192.0.2.7", 1);
  assert.deepEqual(owner.told, []);
  h.acknowledge(one, "RST");
  h.acknowledge(one, "RST");
  assert.deepEqual(owner.told, ["reset"]);

  owner.send(false, "two");
  const [two] = h.take();
  for (let i = 0; i < SENT_NONS_MAX; i++) owner.send(false, "more");
  h.acknowledge(two, "RST");
  const last = h.take().at(-1);
  h.server.endpoint.end(owner.out);
  h.server.endpoint.begin(owner.out, h.peer(), NO_LIMIT);
  h.acknowledge(last, "RST");
  assert.deepEqual(owner.told, ["reset"]);
});

test("RFC 7641 section 4.5.2: a newer representation takes the place of a retransmission, with a Message ID of its own", () => {
  const h = known();
  const owner = new Owner(h);
  h.take();
  owner.send(true, "old");
  const [old] = h.take();
  owner.replace("newer");
  owner.replace("newest");
  assert.equal(h.take().length, 0, "not before the retransmission is due");
  h.advance(3100);
  const [newest] = h.take();
  assert.equal(newest?.payload, "newest");
  assert.notEqual(newest?.messageId, old?.messageId);
  h.advance(100_000);
  assert.equal(h.take().length, 3, "it counts as an attempt");
  assert.deepEqual(owner.told, ["given up"]);
});

test("when the older one is acknowledged before, the newer one is its owner's to send", () => {
  const h = known();
  const owner = new Owner(h);
  h.take();
  owner.send(true, "old");
  owner.replace("newer");
  h.acknowledge(h.take()[0]);
  h.advance(100_000);
  assert.deepEqual([owner.told, h.take().length], [["acknowledged"], 0]);
});

test("an address that is not proven gets nothing above its limit; its answer to a ping proves it", () => {
  const h = known();
  const owner = new Owner(h, 20);
  assert.equal(owner.send(true, "x".repeat(20)), TOO_LARGE);
  assert.equal(owner.send(false, "x".repeat(20)), TOO_LARGE);
  const [ping, ...others] = h.take();
  assert.deepEqual([ping?.type, ping?.code, others.length], ["CON", "0.00", 0]);
  h.acknowledge(ping, "RST");
  assert.equal(h.peer().verified, true);
  assert.equal(owner.send(true, "x".repeat(20)), SENT);
});

test("a NON to an address that is not proven goes as a CON: who does not answer gets no more", () => {
  const h = known();
  const owner = new Owner(h, 20);
  h.take();
  assert.equal(owner.send(false, "x"), SENT);
  assert.equal(h.take()[0]?.type, "CON");
  h.advance(100_000);
  assert.deepEqual([h.take().length, owner.told], [4, ["given up"]]);
});

test("a peer whose DTLS session is over gets nothing more, and all who talk to it are told, whether a message is under way or not", () => {
  const h = known();
  const [inFlight, waits, idle] = [new Owner(h), new Owner(h), new Owner(h)] as const;
  inFlight.send(true, "a");
  waits.send(true, "b");
  h.take();
  const peer = h.peer();
  h.server.endpoint.onPeerGone("192.0.2.7", 40_000);
  assert.deepEqual([inFlight.told, waits.told, idle.told], [["given up"], ["given up"], ["given up"]]);
  assert.equal(idle.send(true, "c"), CLOSED);
  h.request({}, "/health");
  h.take();
  assert.notEqual(h.peer(), peer, "who comes next from there is somebody else");
  h.advance(100_000);
  assert.equal(h.take().length, 0);
  assert.equal(h.shared.messages.peers.size, 2);
  for (const { out } of [inFlight, waits, idle]) h.server.endpoint.end(out);
  assert.equal(h.shared.messages.peers.size, 1);
});

test("who has guessed a Message ID is not proven by the right one", () => {
  const h = known();
  const owner = new Owner(h, 20);
  owner.send(true, "x".repeat(20));
  const [ping] = h.take();
  h.acknowledge({ ...ping!, messageId: (ping!.messageId + 1000) & 0xffff }, "RST");
  h.acknowledge(ping, "RST");
  assert.equal(h.peer().verified, false);
  owner.send(true, "x");
  h.acknowledge(h.take()[0]);
  assert.deepEqual(owner.told, ["acknowledged"]);
  assert.equal(h.peer().verified, false);
});

test("what has ended or is cancelled is sent no more, and its turn goes to the next", () => {
  const h = known();
  const [a, b] = [new Owner(h), new Owner(h)] as const;
  h.take();
  a.send(true, "a");
  b.next = "b";
  b.send(true, "b");
  h.server.endpoint.end(a.out);
  assert.deepEqual(
    h.take().map((sent) => sent.payload),
    ["a", "b"],
  );
  h.server.endpoint.end(b.out);
  h.advance(100_000);
  assert.deepEqual([h.take().length, a.told, b.told, h.wheel.armed], [0, [], ["free"], 0]);
});

test("a closed endpoint sends no message", () => {
  const h = known();
  const owner = new Owner(h);
  owner.send(true, "one");
  h.take();
  h.server.close();
  assert.equal(owner.send(true, "two"), CLOSED);
  h.advance(100_000);
  assert.equal(h.take().length, 0);
  assert.equal(h.wheel.armed, 0);
});
