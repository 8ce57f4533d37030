import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ManualClock } from "../../../../src/base/clock.ts";
import { TimerWheel } from "../../../../src/base/timer-wheel.ts";
import { listedQueue, type SendQueue } from "../../../../src/transport/send-queue.ts";
import { openSocket, type SocketStream } from "../../../../src/transport/serial/socket.ts";
import { eventually } from "../../../support/eventually.ts";
import { temporaryFolder } from "../../../support/gateway-process.ts";

const SETTINGS = { baud: 115_200, keepAliveMs: 15_000 };

/** A terminal server of one connection, and the gateway's end of it. */
class Line {
  readonly clock = new ManualClock();
  readonly wheel = new TimerWheel(this.clock, 50);
  readonly heard: string[] = [];
  readonly server: Server;
  far!: Socket;
  stream!: SocketStream;

  constructor(t: TestContext) {
    this.server = createServer({ pauseOnConnect: true });
    t.after(async () => {
      await this.stream?.close();
      this.far?.destroy();
      this.server.close();
    });
  }

  async open(path: string | null = null, look = listedQueue): Promise<this> {
    this.server.listen(path ?? { port: 0, host: "127.0.0.1" });
    await once(this.server, "listening");
    const address = this.server.address() as { port: number };
    const place = path === null ? { host: "127.0.0.1", port: address.port } : { path };
    const [[far], stream] = await Promise.all([
      once(this.server, "connection"),
      openSocket(place, SETTINGS, this.wheel, null, look),
    ]);
    this.far = far as Socket;
    this.far.on("error", () => {});
    this.stream = stream;
    return this;
  }

  start(answered = false): void {
    this.stream.start({
      answered,
      onData: (chunk) => this.heard.push(`data ${chunk.toString()}`),
      onSent: () => this.heard.push("sent"),
      onGone: (words) => this.heard.push(`gone ${words}`),
    });
  }

  advance(ms: number): void {
    for (let rest = ms; rest > 0; rest -= 50) {
      this.clock.advance(50);
      this.wheel.tick();
    }
  }

  /** Moves the clock until it is so. */
  async until(what: string, condition: () => boolean, stepMs = 50): Promise<void> {
    await eventually(what, () => {
      this.advance(stepMs);
      return condition();
    });
  }
}

test("bytes go both ways over TCP; what the peer's kernel has is sent", async (t) => {
  const line = await new Line(t).open();
  line.start();
  line.far.write("hello");
  await eventually("the peer's words", () => line.heard[0] === "data hello");
  line.stream.write(Buffer.from("on\n"));
  await line.until("the confirmation", () => line.heard[1] === "sent");
  line.far.resume();
  const [chunk] = (await once(line.far, "data")) as [Buffer];
  assert.equal(chunk.toString(), "on\n");
});

test("a peer that answers nothing of a write is gone after 25 s", async (t) => {
  const line = await new Line(t).open(null, () => ({ bytes: 5, held: false }));
  line.start();
  line.stream.write(Buffer.from("hello"));
  line.advance(24_000);
  assert.deepEqual(line.heard, []);
  line.advance(3_000);
  assert.deepEqual(line.heard, ["gone what was written is not acknowledged"]);
});

test("one whose device holds the line up is waited for, for hours, and gone when it does not answer any more", async (t) => {
  let queue: SendQueue = { bytes: 5, held: true };
  const line = await new Line(t).open(null, () => queue);
  line.start();
  line.stream.write(Buffer.from("hello"));
  line.advance(3 * 3_600_000);
  assert.deepEqual(line.heard, []);
  assert.equal(line.stream.facts().heldBy, "the other end takes nothing");
  queue = { bytes: 0, held: false };
  line.advance(2_000);
  assert.deepEqual(line.heard, ["sent"]);
  queue = { bytes: 5, held: true };
  line.stream.write(Buffer.from("hello"));
  line.advance(60_000);
  queue = { bytes: 5, held: false };
  line.advance(24_000);
  assert.deepEqual(line.heard, ["sent"]);
  line.advance(3_000);
  assert.deepEqual(line.heard, ["sent", "gone what was written is not acknowledged"]);
});

test("where all is answered a write is sent when the kernel has it, an answer is looked at no further, and a peer that is gone is gone", async (t) => {
  let looks = 0;
  const line = await new Line(t).open(null, () => {
    looks++;
    return { bytes: 5, held: false };
  });
  line.start(true);
  line.stream.write(Buffer.from("ask"));
  await eventually("sent", () => line.heard.length === 1);
  line.far.write("answer");
  await eventually("the answer", () => line.heard.length === 2);
  line.advance(60_000);
  assert.deepEqual([line.heard, looks], [["sent", "data answer"], 0]);
  line.stream.write(Buffer.from("ask"));
  line.advance(27_000);
  await eventually("gone", () => line.heard.some((words) => words.startsWith("gone")));
  assert.ok(looks > 0);
});

test("what our kernel took and the peer's has not acknowledged is not sent, until the peer takes it", async (t) => {
  const line = await new Line(t).open();
  line.start();
  line.stream.write(Buffer.alloc(16 * 2 ** 20)); // more than both kernels take
  line.advance(5_000);
  assert.deepEqual(line.heard, []);
  line.far.resume();
  await line.until("the confirmation", () => line.heard.length > 0, 50);
  assert.deepEqual(line.heard, ["sent"]);
});

test("a reset between a write and its confirmation is no confirmation", async (t) => {
  const line = await new Line(t).open();
  line.start();
  line.far.resetAndDestroy();
  line.stream.write(Buffer.from("lost"));
  await line.until("the end", () => line.heard.some((word) => word.startsWith("gone")));
  assert.equal(line.heard.includes("sent"), false);
});

test("an answer confirms what it answers, and comes after it", async (t) => {
  const line = await new Line(t).open();
  line.start();
  line.far.on("data", () => line.far.write("yes"));
  line.far.resume();
  line.stream.write(Buffer.from("well?"));
  await eventually("the answer", () => line.heard.length >= 2);
  assert.deepEqual(line.heard, ["sent", "data yes"]);
});

test("paused it reads nothing, also before it is started; the peer's end is heard after what it said", async (t) => {
  const line = await new Line(t).open();
  line.stream.pause();
  line.start();
  line.far.end("last words");
  line.stream.resume();
  await eventually("the end", () => line.heard.length >= 2);
  assert.deepEqual(line.heard, ["data last words", "gone closed by peer"]);
});

test("a unix socket is the same", async (t) => {
  using folder = temporaryFolder();
  const line = await new Line(t).open(join(folder.path, "line.sock"));
  line.start();
  line.stream.write(Buffer.from("on\n"));
  await eventually("the confirmation", () => line.heard[0] === "sent");
  line.far.write("off\n");
  await eventually("the peer's words", () => line.heard[1] === "data off\n");
});

test("who is not there is said in words, and so is a name that is none", async () => {
  const wheel = new TimerWheel(new ManualClock(), 50);
  await assert.rejects(openSocket({ path: "/nowhere/line.sock" }, SETTINGS, wheel), /no such file or directory/);
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  await assert.rejects(openSocket({ host: "127.0.0.1", port }, SETTINGS, wheel), /connection refused/);
});

test("an opening that nobody waits for any more ends at once, whether its host answers or not", async (t) => {
  const wheel = new TimerWheel(new ManualClock(), 50);
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const place = { host: "127.0.0.1", port };
  const closes = new AbortController();
  const opening = openSocket(place, SETTINGS, wheel, closes.signal);
  closes.abort();
  await assert.rejects(opening, /closed by peer/);
  await assert.rejects(openSocket(place, SETTINGS, wheel, closes.signal), /closed by peer/);
});

test("after close nothing is heard and no timer is left", async (t) => {
  const line = await new Line(t).open();
  line.start();
  line.stream.write(Buffer.from("x"));
  await line.stream.close();
  line.advance(1000);
  assert.deepEqual(line.heard, []);
  assert.equal(line.wheel.armed, 0);
});

// ---- with the addon --------------------------------------------------------------------------------------------

/** A list that must not be needed. */
const noList = (): never => assert.fail("the list was read");

test("where the addon tells what is not acknowledged the list is not read: a write is confirmed within ms", async (t) => {
  const line = await new Line(t).open(null, noList);
  const left = [7, 7, 0];
  line.stream.addon = { outputBytes: () => left.shift() ?? 0 };
  line.start();
  line.stream.write(Buffer.from("on\n"));
  await eventually("the confirmation", () => line.heard.length > 0);
  assert.deepEqual([line.heard, left], [["sent"], []]);
});

test("a peer that answers has the write: the addon is asked then, not the list", async (t) => {
  const line = await new Line(t).open(null, noList);
  let asked = 0;
  line.stream.addon = { outputBytes: () => (asked++ === 0 ? 0 : 7) };
  line.start();
  line.stream.write(Buffer.alloc(4096)); // its time on the line is 355 ms
  line.far.write("answer");
  await eventually("both", () => line.heard.length === 2);
  assert.deepEqual([line.heard, asked], [["sent", "data answer"], 1]);
});

test("no sooner than the line can have sent it", async (t) => {
  const line = await new Line(t).open(null, noList);
  line.stream.addon = { outputBytes: () => 0 };
  line.start();
  const from = performance.now();
  line.stream.write(Buffer.alloc(1152));
  await eventually("the confirmation", () => line.heard.length > 0);
  assert.ok(performance.now() - from >= 99, "1152 bytes at 115200 baud take 100 ms");
});

test("an addon that does not know, or says no for long, leaves it to the list", async (t) => {
  for (const answer of [-9, 7]) {
    const line = await new Line(t).open(null, () => ({ bytes: 0, held: false }));
    let asked = 0;
    line.stream.addon = {
      outputBytes: () => {
        asked++;
        return answer;
      },
    };
    line.start();
    line.stream.write(Buffer.from("on\n"));
    await eventually("it is asked 1, 2, 4, 8, 16 and 32 ms long", () => asked === 7);
    assert.deepEqual(line.heard, []);
    line.advance(100);
    assert.deepEqual(line.heard, ["sent"]);
  }
});
