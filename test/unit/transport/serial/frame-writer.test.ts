import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameWriter } from "../../../../src/transport/serial/frame-writer.ts";

class Device {
  isOpen = true;
  readonly written: Buffer[] = [];

  write(bytes: Buffer): void {
    this.written.push(bytes);
  }
}

function lay(writer: FrameWriter, text: string): boolean {
  const at = writer.placeFor(text.length);
  if (at >= 0) writer.placed(at + writer.bytes.write(text, at));
  return at >= 0;
}

test("frames that come during a write go together with the next, and the write under way does not change", () => {
  const device = new Device();
  const writer = new FrameWriter(device, 8);
  assert.ok(lay(writer, "one"));
  assert.ok(lay(writer, "two") && lay(writer, "three"));
  assert.deepEqual(device.written.map(String), ["one"]);
  writer.onWritten();
  assert.deepEqual(device.written.map(String), ["one", "twothree"]);
  writer.onWritten();
  assert.equal(device.written.length, 2);
});

test("what finds no room is refused, both sides of the limit; so is everything while the device is away", () => {
  const device = new Device();
  const writer = new FrameWriter(device, 8);
  assert.equal(lay(writer, "123456789"), false);
  assert.ok(lay(writer, "12345678"));
  assert.ok(lay(writer, "12345678"));
  assert.equal(lay(writer, "9"), false);
  device.isOpen = false;
  writer.onAway();
  assert.equal(lay(writer, "1"), false);
  device.isOpen = true;
  assert.ok(lay(writer, "again"));
  assert.equal(String(device.written.at(-1)), "again", "what waited for the device that is gone is gone, too");
});

test("written resolves when all is written, when the device goes away, or in time", async () => {
  const writer = new FrameWriter(new Device(), 8);
  await writer.written(60_000);
  lay(writer, "one");
  lay(writer, "two");
  let done = false;
  const all = writer.written(60_000).then(() => {
    done = true;
  });
  writer.onWritten();
  await Promise.resolve();
  assert.equal(done, false);
  writer.onWritten();
  await all;
  lay(writer, "one");
  const away = writer.written(60_000);
  writer.onAway();
  await away;
  lay(writer, "one");
  await writer.written(1);
});
