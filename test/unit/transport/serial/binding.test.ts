// The binding itself, over pseudo terminals of socat's.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ManualClock } from "../../../../src/base/clock.ts";
import { TimerWheel } from "../../../../src/base/timer-wheel.ts";
import type { SerialStream } from "../../../../src/transport/serial/stream.ts";
import { openTty } from "../../../../src/transport/serial/tty.ts";
import { Cable } from "../../../support/cable.ts";
import { eventually } from "../../../support/eventually.ts";
import { temporaryFolder } from "../../../support/gateway-process.ts";
import { requirePeer } from "../../../support/peers.ts";
import { SETTINGS } from "./tty-driver.ts";

const OPENINGS = 1000;
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

class Heard {
  text = "";
  sent = 0;
  gone = "";
  onData(chunk: Buffer): void {
    this.text += chunk.toString("latin1");
  }
  onSent(): void {
    this.sent++;
  }
  onGone(words: string): void {
    this.gone = words;
  }
}

test(`${OPENINGS} openings leave no descriptor and no memory, and the last one is as good as the first`, {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  const wheel = new TimerWheel(new ManualClock(), 50);
  const open = async (): Promise<[SerialStream, Heard]> => {
    const stream = await openTty(cable.port, SETTINGS, wheel);
    const heard = new Heard();
    stream.start(heard);
    return [stream, heard];
  };
  const openings = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await (await open())[0].close();
  };
  const measure = () => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return { heapUsed, arrayBuffers, descriptors: readdirSync("/proc/self/fd").length };
  };
  await openings(100);
  const before = measure();
  await openings(OPENINGS);
  assert.equal(measure().descriptors, before.descriptors);
  // What has a finalizer goes some turns later.
  await eventually("their buffers", () => measure().arrayBuffers - before.arrayBuffers < 100 * OPENINGS);
  await eventually("their objects", () => measure().heapUsed - before.heapUsed < 500 * OPENINGS);

  const [stream, heard] = await open();
  collect();
  cable.say("reading\n");
  await eventually("the device is heard", () => heard.text === "reading\n");
  stream.write(Buffer.from("hello\n"));
  await eventually("and spoken to", () => heard.sent === 1 && cable.heard === "hello\n");
  await stream.close();
});

test("two lines have their own descriptors; one that takes the number of another, which was closed, hears its own device", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  for (const name of ["a", "b"]) mkdirSync(join(folder.path, name));
  await using a = new Cable(join(folder.path, "a"));
  await using b = new Cable(join(folder.path, "b"));
  await a.plug();
  await b.plug();
  const wheel = new TimerWheel(new ManualClock(), 50);
  const first = await openTty(a.port, SETTINGS, wheel);
  const heardA = new Heard();
  first.start(heardA);
  a.say("a");
  await eventually("the first", () => heardA.text === "a");
  await first.close();
  const second = await openTty(b.port, SETTINGS, wheel);
  const heardB = new Heard();
  second.start(heardB);
  const third = await openTty(a.port, SETTINGS, wheel);
  const heardC = new Heard();
  third.start(heardC);
  a.say("c");
  b.say("b");
  await eventually("both", () => heardB.text === "b" && heardC.text === "c");
  assert.equal(heardA.text, "a");
  await b.unplug();
  await eventually("its end", () => heardB.gone !== "");
  assert.equal(heardC.gone, "");
  await second.close();
  await third.close();
});

test("a port that is locked, one that is not there and a file that is none are refused in words, and leave no descriptor", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  const file = join(folder.path, "file");
  writeFileSync(file, "");
  const wheel = new TimerWheel(new ManualClock(), 50);
  const stream = await openTty(cable.port, SETTINGS, wheel);
  const before = readdirSync("/proc/self/fd").length;
  await assert.rejects(openTty(cable.port, SETTINGS, wheel), /another line of this gateway has it open/);
  await assert.rejects(openTty(join(folder.path, "none"), SETTINGS, wheel), /No such file or directory/);
  await assert.rejects(openTty(file, SETTINGS, wheel), /it is no serial device/);
  assert.equal(readdirSync("/proc/self/fd").length, before);
  await stream.close();
});
