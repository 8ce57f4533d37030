/**
 * Uploads over a network that loses, repeats, delays and overtakes, by a seed: whatever happens, what is published is
 * exactly what was uploaded, never a mixture, and never twice what a client was answered for.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Random, seededRandom } from "../../../../../src/base/random.ts";
import { STORED_LATER } from "../../../../../src/core/router.ts";
import { UPLOAD_LIFETIME_MS } from "../../../../../src/protocol/coap/blocks/upload-table.ts";
import { blockOption } from "../../../../../src/wire/coap/options.ts";
import { requestOf, responseOf } from "../../../../support/coap-messages.ts";
import { Harness } from "../harness.ts";
import { readUint } from "./uploading.ts";

const STEP_MS = 50;
const DELAY_MS_MAX = 6_000;
const UPLOADS = 12;

interface InFlight {
  atMs: number;
  bytes: Buffer;
  up: boolean;
  port: number;
}

/** One upload after the other, each block sent until it is answered or given up. */
class Client {
  readonly port: number;
  readonly #random: Random;
  readonly #send: (bytes: Buffer, port: number) => void;
  /** With Request-Tags it begins anew at once; without, only when nothing of the last upload can be under way (RFC 9175 section 3.5). */
  readonly #tags: boolean;
  readonly #confirmable: boolean;
  uploads = 0;
  payload: Buffer = Buffer.alloc(0);
  readonly uploaded: string[] = [];
  readonly answered: string[] = [];
  #messageId: number;
  #token = 0;
  #from = 0;
  #szx = 0;
  #request: Buffer = Buffer.alloc(0);
  #retransmissions = 0;
  #nextMs = 0;
  #asksAgain = 0;

  constructor(port: number, random: Random, send: (bytes: Buffer, port: number) => void) {
    this.port = port;
    this.#random = random;
    this.#send = send;
    this.#tags = random() < 0.5;
    this.#confirmable = random() < 0.8;
    this.#messageId = Math.floor(random() * 60_000);
  }

  get done(): boolean {
    return this.uploads > UPLOADS;
  }

  step(nowMs: number): void {
    if (this.done || nowMs < this.#nextMs) return;
    if (this.#request.length === 0) {
      this.#begin();
    } else if (this.#retransmissions < 4 && this.#confirmable) {
      this.#retransmissions++;
      this.#nextMs = nowMs + 2000 * 2 ** this.#retransmissions;
      this.#send(this.#request, this.port);
      return;
    } else if (this.#from > 0 && this.#asksAgain++ < 2) {
      this.#ask(); // by a new message; a first block would begin another upload
    } else {
      this.#over(nowMs);
      return;
    }
    this.#nextMs = nowMs + 2000;
  }

  onResponse(bytes: Buffer, nowMs: number): void {
    const response = responseOf(bytes);
    if (response.type === "CON") {
      this.#send(Buffer.from([0x60, 0, response.messageId >> 8, response.messageId & 0xff]), this.port);
    }
    if (response.code === "0.00" || response.token !== this.#tokenText || this.#request.length === 0) return;
    if (response.code === "2.31") {
      this.#szx = Math.min(this.#szx, readUint(response.options.get("Block1")) & 7);
      this.#from += this.#sent;
      if (this.#random() < 0.03) {
        this.#over(nowMs); // it has lost interest
        return;
      }
      if (this.#random() < 0.2 && this.#szx > 0) this.#szx--;
      this.#asksAgain = 0;
      this.#ask();
      this.#nextMs = nowMs + 2000;
    } else {
      if (response.code === "2.04") this.answered.push(this.payload.toString());
      this.#over(nowMs);
    }
  }

  #begin(): void {
    this.uploads++;
    const length = 129 + Math.floor(this.#random() * 600); // two blocks at least: one alone is a PUT like any other
    const name = `${this.port}.${this.uploads}.`;
    this.payload = Buffer.from(name.repeat(Math.ceil(length / name.length)).slice(0, length));
    this.uploaded.push(this.payload.toString());
    this.#from = 0;
    this.#szx = Math.floor(this.#random() * 4);
    this.#asksAgain = 0;
    this.#ask();
  }

  #over(nowMs: number): void {
    this.#request = Buffer.alloc(0);
    this.#nextMs = nowMs + (this.#tags ? 0 : DELAY_MS_MAX + STEP_MS);
  }

  get #sent(): number {
    return Math.min(16 << this.#szx, this.payload.length - this.#from);
  }

  get #tokenText(): string {
    return this.#token.toString(16).padStart(8, "0");
  }

  #ask(): void {
    this.#token++;
    this.#messageId = (this.#messageId + 1) & 0xffff;
    const size = 16 << this.#szx;
    const more = this.#from + size < this.payload.length;
    const options = [{ name: "Block1", value: blockOption(0, this.#from / size, more, this.#szx).value }];
    if (this.#tags) options.push({ name: "292", value: Buffer.from([this.uploads]) });
    this.#request = requestOf(
      {
        code: "PUT",
        confirmable: this.#confirmable,
        messageId: this.#messageId,
        token: Buffer.from(this.#tokenText, "hex"),
        options: options as never,
        payload: this.payload.subarray(this.#from, this.#from + size),
      },
      "/ps/a",
    );
    this.#retransmissions = 0;
    this.#send(this.#request, this.port);
  }
}

function play(seed: number): { uploaded: number; answered: number; published: number } {
  const random = seededRandom(seed);
  const h = new Harness();
  const loss = random() * 0.3;
  const twice = random() * 0.3;
  const late = random() * 0.4;
  const net: InFlight[] = [];
  const put = (bytes: Buffer, up: boolean, port: number): void => {
    if (random() < loss) return;
    for (let copies = random() < twice ? 2 : 1; copies > 0; copies--) {
      const delayMs = random() < late ? random() * DELAY_MS_MAX : random() * 100;
      net.push({ atMs: h.clock.nowMs() + delayMs, bytes, up, port });
    }
  };
  const clients = [1, 2, 3].map((i) => new Client(40_000 + i, random, (bytes, port) => put(bytes, true, port)));
  const slow = random() < 0.5;
  while (clients.some((client) => !client.done) && h.clock.nowMs() < 40_000_000) {
    h.outcome = slow && random() < 0.5 ? STORED_LATER : 0;
    h.advance(STEP_MS);
    const nowMs = h.clock.nowMs();
    if (random() < 0.05) for (const waiter of h.waiters.splice(0)) waiter.onStored(0, 0);
    for (const { bytes, port } of h.port.sent.splice(0)) put(bytes, false, port);
    const arrived = net.filter(({ atMs }) => atMs <= nowMs);
    net.splice(0, net.length, ...net.filter(({ atMs }) => atMs > nowMs));
    for (const { bytes, up, port } of arrived) {
      if (up) h.receive(bytes, "192.0.2.7", port);
      else clients.find((client) => client.port === port)?.onResponse(bytes, nowMs);
    }
    for (const client of clients) client.step(nowMs);
  }
  const published = h.published.map(({ payload }) => payload);
  const uploaded = new Set(clients.flatMap((client) => client.uploaded));
  for (const payload of published) assert.ok(uploaded.has(payload), `seed ${seed}: ${payload} was never uploaded`);
  assert.equal(new Set(published).size, published.length, `seed ${seed}: published twice`);
  const answered = clients.flatMap((client) => client.answered);
  for (const payload of answered) assert.ok(published.includes(payload), `seed ${seed}: answered, not published`);
  for (const waiter of h.waiters.splice(0)) waiter.onStored(0, 0);
  h.advance(2 * UPLOAD_LIFETIME_MS);
  assert.deepEqual([h.counters.get("coap.uploads_known"), h.counters.get("coap.uploads_bytes")], [0, 0]);
  return { uploaded: uploaded.size, answered: answered.length, published: published.length };
}

test("60 runs: what is published is exactly what was uploaded, once, and all that was answered for is published", () => {
  const seeds = process.env["SLUICE_LONG"] === undefined ? 60 : 2_000;
  const first = Number(process.env["SLUICE_LONG"] ?? 1);
  let uploaded = 0;
  let published = 0;
  for (let seed = first; seed < first + seeds; seed++) {
    const run = play(seed);
    uploaded += run.uploaded;
    published += run.published;
  }
  assert.ok(published > uploaded / 3, `${published} of ${uploaded} came through`);
});
