import assert from "node:assert/strict";
import { appendFileSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ManualClock } from "../../../../src/base/clock.ts";
import { Counters } from "../../../../src/base/counters.ts";
import { Log } from "../../../../src/base/log.ts";
import { TimerWheel } from "../../../../src/base/timer-wheel.ts";
import type { LineSettings } from "../../../../src/config/serial-port.ts";
import { RS485_LINE } from "../../../../src/config/serial-rs485.ts";
import type { TtyAddon } from "../../../../src/native/tty/binding.ts";
import { type BoundPort, bindingOptions, type ControlLines } from "../../../../src/transport/serial/binding.ts";
import { type SerialHandler, SerialPort } from "../../../../src/transport/serial/serial-port.ts";
import { type OpenSerialStream, READ_BYTES } from "../../../../src/transport/serial/stream.ts";
import { openTty } from "../../../../src/transport/serial/tty.ts";
import { TurnQueue } from "../../../../src/transport/turn-queue.ts";
import { driver, SETTINGS } from "./tty-driver.ts";

type Listener = (error: Error | null) => void;

/** A port whose descriptor is a plain file, and whose poller does what the test says. */
class FakeBound implements BoundPort {
  readonly fd: number;
  readonly polled: number[] = [];
  readonly drains: ((error?: Error) => void)[] = [];
  /** RTS as it was set, one after another. */
  readonly rts: boolean[] = [];
  setError: string | null = null;
  closed = false;
  readonly #listeners = new Map<string, Listener>();

  constructor(file: string, flags: string) {
    this.fd = openSync(file, flags);
  }

  readonly poller = {
    on: (event: string, listener: Listener): void => {
      this.#listeners.set(event, listener);
    },
    poll: (events: number): void => {
      this.polled.push(events);
    },
  };

  emit(event: "readable" | "writable", error: Error | null = null): void {
    this.#listeners.get(event)?.(error);
  }

  set(lines: ControlLines): Promise<void> {
    this.rts.push(lines.rts);
    return this.setError === null ? Promise.resolve() : Promise.reject(new Error(this.setError));
  }

  getBaudRate(): Promise<{ baudRate: number }> {
    return Promise.resolve({ baudRate: 9600 });
  }

  drain(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.drains.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  close(): Promise<void> {
    if (!this.closed) closeSync(this.fd);
    this.closed = true;
    return Promise.resolve();
  }
}

class Bench {
  readonly clock = new ManualClock();
  readonly wheel = new TimerWheel(this.clock, 50);
  readonly counters = new Counters();
  readonly turns = new TurnQueue(this.counters);
  readonly logged: string[] = [];
  readonly heard: string[] = [];
  readonly bound: FakeBound[] = [];
  tries = 0;
  random = 0;
  error: string | null = null;
  flags = "r+";
  setError: string | null = null;
  readonly file: string;
  settings: LineSettings;
  addon: TtyAddon | string = "the tty addon is not built";
  readonly port: SerialPort;

  constructor(t: TestContext, baud = 115_200, rs485: "none" | "rts" = "none", open: OpenSerialStream | null = null) {
    const directory = mkdtempSync(join(tmpdir(), "serial-"));
    t.after(() => rmSync(directory, { recursive: true }));
    this.file = join(directory, "port");
    writeFileSync(this.file, "");
    const { clock, wheel, counters } = this;
    const log = new Log({ level: "debug", format: "text", write: (line) => this.logged.push(line.slice(25)) });
    this.settings = { ...SETTINGS, baud, rs485 };
    this.port = new SerialPort(
      { name: "meter", place: { kind: "device", path: "/dev/x" }, ...this.settings },
      {
        ...{ clock, wheel, counters, log, random: () => this.random },
        flusher: { turns: this.turns, scheduleEnd: () => {} },
      },
      open ?? (() => openTty("/dev/x", this.settings, wheel, () => this.#open(), this.addon)),
    );
    this.port.handler = {
      onOpen: () => this.heard.push("open"),
      onData: (chunk) => this.heard.push(`data ${chunk.toString()}`),
      onWritten: () => this.heard.push("written"),
      onAway: () => this.heard.push("away"),
      onTurn: () => this.heard.push("turn"),
    };
  }

  async #open(): Promise<BoundPort> {
    this.tries++;
    if (this.error !== null) throw new Error(this.error);
    const bound = new FakeBound(this.file, this.flags);
    bound.setError = this.setError;
    this.bound.push(bound);
    return bound;
  }

  get last(): FakeBound {
    return this.bound.at(-1) as FakeBound;
  }

  advance(ms: number): void {
    for (let rest = ms; rest > 0; rest -= 50) {
      this.clock.advance(Math.min(50, rest));
      this.wheel.tick();
    }
  }

  async start(): Promise<void> {
    this.port.start();
    await turn();
  }
}

test("a port that is not there is tried again for ever, with growing pauses and one line of log", async (t) => {
  const b = new Bench(t);
  b.error = "No such file or directory";
  await b.start();
  for (let i = 0; i < 200; i++) {
    b.advance(1000);
    await turn();
  }
  assert.ok(b.tries > 40, `${b.tries}`);
  assert.equal(b.logged.length, 1);
  assert.match(b.logged[0]!, /serial-away .*No such file/);
  b.error = "Permission denied";
  b.advance(6000);
  await turn();
  assert.equal(b.logged.length, 2, "another reason is news");
  b.error = null;
  b.advance(6000);
  await turn();
  assert.match(b.logged[2]!, /serial-open/);
  assert.deepEqual(b.heard, ["open"]);
});

test("reads what is there; an error, a hang-up and the end of the file make it go away and come back", async (t) => {
  const b = new Bench(t);
  for (const cause of ["error", "end"]) {
    writeFileSync(b.file, "hello");
    if (cause === "error") await b.start();
    b.last.emit("readable");
    assert.equal(b.heard.pop(), "data hello");
    b.advance(1100); // one that hangs up at once again and again is no news
    const lost = b.last;
    lost.emit("readable", cause === "error" ? new Error("bad file descriptor") : null);
    assert.equal(b.heard.pop(), "away");
    assert.equal(b.port.isOpen, false);
    assert.equal(lost.closed, true);
    b.advance(300);
    await turn();
    assert.equal(b.heard.pop(), "open");
  }
  assert.equal(b.logged.filter((line) => line.includes("serial-away")).length, 2);
  assert.equal(b.counters.get("serial.opened"), 3);
});

test("a paused port polls for nothing and reads nothing; resume goes on", async (t) => {
  const b = new Bench(t);
  writeFileSync(b.file, "hello");
  await b.start();
  assert.equal(b.last.polled.at(-1), 1);
  b.port.pause();
  assert.equal(b.last.polled.at(-1), 0);
  b.last.emit("readable");
  assert.deepEqual(b.heard, ["open"]);
  b.port.resume();
  b.last.emit("readable");
  assert.deepEqual(b.heard, ["open", "data hello"]);
});

test("after a large read the port waits for its turn, as it does when its handler asks for one", async (t) => {
  const b = new Bench(t);
  writeFileSync(b.file, "x".repeat(READ_BYTES + 1));
  await b.start();
  b.last.emit("readable");
  assert.equal(b.last.polled.at(-1), 0, "nothing is polled for");
  assert.equal(b.counters.get("serial.bytes_read"), READ_BYTES);
  b.port.resume();
  assert.equal(b.last.polled.at(-1), 0, "nor when the handler would go on");
  b.turns.run();
  assert.equal(b.last.polled.at(-1), 1);
  b.last.emit("readable");
  assert.equal(b.counters.get("serial.bytes_read"), READ_BYTES + 1);
  assert.equal(b.last.polled.at(-1), 1, "there was no more");

  b.port.pause();
  b.port.awaitTurn();
  b.port.awaitTurn();
  b.turns.run();
  b.turns.run();
  assert.deepEqual(b.heard.slice(-1), ["turn"], "once");
  assert.equal(b.last.polled.at(-1), 0, "the handler has paused it");
  b.port.awaitTurn();
  await b.port.close();
  assert.equal(b.turns.empty, true, "who is closed waits no more");
});

test("a write goes to the kernel at once, and waits for the time the line needs, and the drain", async (t) => {
  const b = new Bench(t, 9600);
  await b.start();
  b.port.write(Buffer.alloc(960, "x"));
  assert.equal(readFileSync(b.file).length, 960);
  assert.deepEqual(b.last.polled, [1], "reading goes on, and nothing is polled for the write");
  b.advance(950);
  assert.equal(b.last.drains.length, 0, "960 bytes at 9600 baud take a second");
  b.advance(100);
  assert.equal(b.last.drains.length, 1);
  b.last.drains[0]?.();
  await turn();
  assert.deepEqual(b.heard, ["open", "written"]);
  b.port.write(Buffer.from("x"));
  assert.equal(b.last.drains.length, 2, "a byte is drained at once");
});

test("what is written as soon as the port is open is sent, too", async (t) => {
  const b = new Bench(t);
  const handler = b.port.handler as SerialHandler;
  b.port.handler = { ...handler, onOpen: () => b.port.write(Buffer.from("x")) };
  await b.start();
  assert.equal(b.last.polled.at(-1), 3);
  b.last.emit("writable");
  b.last.drains[0]?.();
  await turn();
  assert.deepEqual(b.heard, ["written"]);
});

test("while a frame is on the line no thread waits for it", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const b = new Bench(t);
  await b.start();
  b.port.write(Buffer.alloc(64, "x"));
  t.mock.timers.tick(4);
  assert.equal(b.last.drains.length, 0, "64 bytes at 115,200 baud take 5.6 ms");
  t.mock.timers.tick(2);
  assert.equal(b.last.drains.length, 1);
});

test("where the driver tells what it has, a line is drained when it has little, whatever its baud rate says", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const b = new Bench(t, 9600);
  let left = 960; // a second at 9,600 baud
  let looks = 0;
  const outputBytes = (): number => {
    looks++;
    return left;
  };
  b.addon = driver({ outputBytes });
  await b.start();
  b.port.write(Buffer.alloc(960, "x"));
  for (let i = 1; i <= 4; i++) {
    left -= 100;
    t.mock.timers.tick(10);
    assert.equal(looks, 1 + i, "it goes on, so it is looked at every 10 ms");
  }
  t.mock.timers.tick(10); // held up
  const held = looks;
  t.mock.timers.tick(19);
  assert.equal(looks, held, "ever less often");
  t.mock.timers.tick(1);
  assert.equal(looks, held + 1);
  assert.equal(b.last.drains.length, 0);
  left = 1;
  t.mock.timers.tick(40);
  assert.equal(b.last.drains.length, 1);
});

test("what goes wrong with a write is told in a later turn", async (t) => {
  const b = new Bench(t);
  b.flags = "r"; // every write fails
  await b.start();
  b.port.write(Buffer.from("x"));
  assert.deepEqual(b.heard, ["open"]);
  assert.equal(b.last.polled.at(-1), 3, "reading goes on");
  b.last.emit("writable");
  assert.deepEqual(b.heard, ["open", "away"]);
});

test("a device whose bytes come one by one is read once a ms, until it has nothing", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const b = new Bench(t);
  await b.start();
  let sent = 0;
  const say = (): void => appendFileSync(b.file, String(sent++ % 10));
  for (let i = 0; i < 1000 && b.last.polled.at(-1) === 1; i++) {
    say();
    b.last.emit("readable");
  }
  assert.equal(b.last.polled.at(-1), 0, "it is not polled any more");
  for (let i = 0; i < 5; i++) say();
  t.mock.timers.tick(1);
  assert.equal(b.heard.at(-1)?.length, "data ".length + 5);
  for (let i = 0; i < 3; i++) say();
  t.mock.timers.tick(1);
  assert.equal(b.heard.at(-1)?.length, "data ".length + 3);
  assert.equal(b.last.polled.at(-1), 0);
  b.port.pause();
  say();
  t.mock.timers.tick(1);
  assert.equal(b.last.polled.at(-1), 0);
  b.port.resume();
  assert.equal(b.last.polled.at(-1), 1);
  b.last.emit("readable");
  assert.equal(b.heard.slice(1).join("").replaceAll("data ", "").length, sent, "nothing was lost");
});

test("who listens for silences reads each byte as it comes", async (t) => {
  const b = new Bench(t);
  b.port.handler = { ...(b.port.handler as SerialHandler), prompt: true };
  await b.start();
  for (let i = 0; i < 100; i++) {
    appendFileSync(b.file, "x");
    b.last.emit("readable");
  }
  assert.equal(b.heard.length, 101);
  assert.ok(b.last.polled.every((events) => events === 1));
});

test("a write is not confirmed after the port went away, nor by a failing drain", async (t) => {
  const b = new Bench(t);
  await b.start();
  b.port.write(Buffer.from("x"));
  b.last.emit("writable");
  b.last.emit("readable", new Error("gone"));
  b.bound[0]?.drains[0]?.();
  await turn();
  assert.deepEqual(b.heard, ["open", "away"]);
  b.advance(300);
  await turn();
  b.port.write(Buffer.from("y"));
  b.last.emit("writable");
  b.last.drains[0]?.(new Error("EIO"));
  await turn();
  assert.deepEqual(b.heard, ["open", "away", "open", "away"]);
});

test("a drain that the hang-up of the device ended confirms nothing", async (t) => {
  const b = new Bench(t);
  await b.start();
  b.port.write(Buffer.from("x"));
  b.last.emit("writable");
  await b.last.close(); // its descriptor fails from now on
  b.last.drains[0]?.();
  await turn();
  assert.deepEqual(b.heard, ["open", "away"]);
});

test("close closes the descriptor, also of a port that is just being opened, and tries no more", async (t) => {
  const b = new Bench(t);
  await b.start();
  await b.port.close();
  assert.equal(b.last.closed, true);
  assert.deepEqual(b.heard, ["open", "away"]);
  const c = new Bench(t);
  c.port.start();
  await c.port.close();
  assert.equal(c.last.closed, true);
  const d = new Bench(t);
  d.error = "no";
  await d.start();
  await d.port.close();
  d.advance(60_000);
  assert.equal(d.tries, 1);
  assert.equal(d.wheel.armed, 0);
});

test("close does not wait for a host that does not answer: the opening is given up", async (t) => {
  const b = new Bench(t, 115_200, "none", (givenUp) => {
    const { promise, reject } = Promise.withResolvers<never>();
    givenUp.addEventListener("abort", () => reject(new Error("given up")));
    return promise;
  });
  await b.start();
  await b.port.close();
  assert.deepEqual([b.heard, b.logged, b.wheel.armed], [[], [], 0]);
});

test("over RS-485 the transmitter is on from before the first byte until the last has left", async (t) => {
  const b = new Bench(t, 9600, "rts");
  await b.start();
  assert.deepEqual(b.last.rts, [false], "it listens at first");
  b.port.write(Buffer.alloc(96, "x"));
  assert.equal(b.last.polled.at(-1), 1, "nothing is written before the transmitter is on");
  b.last.emit("writable");
  assert.equal(readFileSync(b.file).length, 0);
  await turn();
  assert.deepEqual(b.last.rts, [false, true]);
  assert.equal(b.last.polled.at(-1), 3);
  b.last.emit("writable");
  b.advance(150);
  assert.deepEqual(b.last.rts, [false, true], "until it is drained");
  b.last.drains[0]?.();
  await turn();
  assert.deepEqual(b.last.rts, [false, true, false]);
  assert.deepEqual(b.heard, ["open", "written"]);
});

test("over inverted RS-485 a port that is closed while it sends listens at its end, and RTS does not go off", async (t) => {
  const b = new Bench(t, 9600, "rts");
  b.settings = { ...b.settings, rs485Line: { ...RS485_LINE, rtsOnSend: false } };
  await b.start();
  b.port.write(Buffer.alloc(96, "x"));
  await turn();
  assert.deepEqual(b.last.rts, [true, false]);
  await b.port.close();
  assert.deepEqual(b.last.rts, [true, false, true]);
  assert.equal(bindingOptions("/dev/x", b.settings).hupcl, false);
  assert.equal(bindingOptions("/dev/x", { ...b.settings, rs485Line: RS485_LINE }).hupcl, true);
});

test("a device without RTS is not opened for RS-485, and its descriptor is closed", async (t) => {
  const b = new Bench(t, 9600, "rts");
  b.setError = "Inappropriate ioctl for device";
  await b.start();
  assert.deepEqual(b.heard, []);
  assert.equal(b.last.closed, true);
  assert.match(b.logged.join(), /serial-away .*Inappropriate ioctl/);
});

test("a port that hangs up as soon as it is open is tried ever less often; one that works is tried at once", async (t) => {
  const b = new Bench(t);
  b.random = 1;
  await b.start();
  const awayMs = async (): Promise<number> => {
    b.last.emit("readable", new Error("gone"));
    let ms = 0;
    for (; !b.port.isOpen && ms < 10_000; ms += 50) {
      b.advance(50);
      await turn();
    }
    return ms;
  };
  const pauses: number[] = [];
  for (let i = 0; i < 6; i++) pauses.push(await awayMs());
  assert.deepEqual(
    pauses.map((ms) => Math.round(ms / 250) * 250),
    [250, 500, 1000, 2000, 4000, 5000],
  );
  b.advance(1100);
  assert.ok((await awayMs()) <= 350, "it stayed open for a second");
  await awayMs();
  b.port.write(Buffer.from("x"));
  b.last.emit("writable");
  b.last.drains[0]?.();
  await turn();
  assert.ok((await awayMs()) <= 350, "it was written to");
});

test("what is written 10 s late is held up: one line of log then, and one when it goes on", async (t) => {
  const b = new Bench(t, 9600);
  await b.start();
  b.port.write(Buffer.alloc(960, "x"));
  b.last.emit("writable");
  b.advance(11_900);
  assert.equal(b.port.status().heldBy, null);
  b.advance(3_600_000);
  assert.equal(b.port.status().heldBy, "the device takes nothing");
  assert.deepEqual(b.heard, ["open"], "and waited for");
  b.last.drains[0]?.();
  await turn();
  assert.equal(b.port.status().heldBy, null);
  const said = b.logged.slice(1);
  assert.equal(said.length, 2);
  assert.match(said[0] ?? "", /serial-held .*reason="the device takes nothing"/);
  assert.match(said[1] ?? "", /serial-flows name=meter/);
  for (const words of ["one", "two"]) {
    b.port.write(Buffer.from(words));
    b.last.emit("writable");
    b.last.drains.at(-1)?.();
    await turn();
  }
  b.port.write(Buffer.from("three"));
  await b.port.close();
  b.advance(60_000);
  assert.equal(b.logged.length, 3);
  assert.equal(b.wheel.armed, 0);
});

test("without the addon nobody tells how a line that may be held up stands: two of them at most wait in threads", async (t) => {
  const benches = [new Bench(t), new Bench(t), new Bench(t)];
  for (const b of benches) {
    b.settings = { ...b.settings, flow: "rts-cts" };
    await b.start();
    b.port.write(Buffer.from("x"));
    b.last.emit("writable");
  }
  await turn();
  assert.deepEqual(
    benches.map(({ last }) => last.drains.length),
    [1, 1, 0],
  );
  benches[0]?.last.drains[0]?.();
  await turn();
  assert.deepEqual(
    benches.map(({ last }) => last.drains.length),
    [1, 1, 1],
  );
  for (const { last } of benches) last.drains[0]?.();
  await turn();
  assert.deepEqual(
    benches.map(({ heard }) => heard.at(-1)),
    ["written", "written", "written"],
  );
});

test("says how it stands", async (t) => {
  const b = new Bench(t);
  b.error = "No such file or directory";
  await b.start();
  const atMs = b.clock.wallMs();
  const words = "No such file or directory";
  const common = { name: "meter", port: "/dev/x", device: null, heldBy: null, lastError: { words, atMs }, ...SETTINGS };
  const bytes = { bytesRead: 0, bytesWritten: 0 };
  const away = { open: false, sinceMs: atMs, error: words, opened: 0, driver: null };
  assert.deepEqual(b.port.status(), { ...common, ...bytes, ...away });
  b.error = null;
  b.advance(300);
  await turn();
  writeFileSync(b.file, "hello");
  b.last.emit("readable");
  b.port.write(Buffer.from("x"));
  b.last.emit("writable");
  b.last.drains[0]?.();
  await turn();
  const driver = { baud: 9600, rs485: null, refused: [], errors: null };
  const open = { open: true, sinceMs: atMs + 300, error: null, opened: 1, driver };
  assert.deepEqual(b.port.status(), { ...common, bytesRead: 5, bytesWritten: 1, ...open });
});

test("the line's settings reach the binding in its words", () => {
  const settings = { ...SETTINGS, baud: 9600, dataBits: 7, parity: "even", stopBits: 2 } as const;
  const common = { path: "/dev/x", baudRate: 9600, dataBits: 7, parity: "even", stopBits: 2 };
  const kept = { lock: true, hupcl: true, vmin: 1, vtime: 0, xany: false };
  const off = { rtscts: false, xon: false, xoff: false, ...kept };
  assert.deepEqual(bindingOptions("/dev/x", settings), { ...common, ...off });
  assert.deepEqual(bindingOptions("/dev/x", { ...settings, flow: "rts-cts" }), { ...common, ...off, rtscts: true });
  const xonXoff = { ...common, ...off, xon: true, xoff: true };
  assert.deepEqual(bindingOptions("/dev/x", { ...settings, flow: "xon-xoff" }), xonXoff);
});
