import assert from "node:assert/strict";
import { closeSync, constants, openSync } from "node:fs";
import { test } from "node:test";
import { holderOf, lockerIn, openers } from "../../../../src/transport/serial/port-holder.ts";

const LOCKS = `1: POSIX  ADVISORY  READ 9 00:18:5 128 128
2: FLOCK  ADVISORY  WRITE 0 00:18:5 0 EOF
3: FLOCK  ADVISORY  WRITE 4711 00:18:5 0 EOF
4: FLOCK  ADVISORY  WRITE 4712 08:102:6 0 EOF
`;

test("who holds a device is found by its file in the kernel's list of locks", () => {
  assert.equal(lockerIn(LOCKS, 0x18, 5), 4711);
  assert.equal(lockerIn(LOCKS, 0x18, 6), null);
  assert.equal(lockerIn(LOCKS, 0x19, 5), null);
  assert.equal(lockerIn(LOCKS, 0x10_0802, 6), 4712, "minor numbers of more than eight bits");
  assert.equal(lockerIn("", 0x18, 5), null);
});

test("nobody holds what is not there", () => {
  assert.equal(holderOf("/dev/no-such-device"), null);
});

test("who has a device open is found by his descriptors, without a lock; who has closed it is not", () => {
  const fd = openSync("/dev/ptmx", constants.O_RDWR | constants.O_NOCTTY);
  const path = "/dev/ptmx";
  const holder = openers(new Set([path])).get(path) ?? openers(new Set(["/dev/pts/ptmx"])).get("/dev/pts/ptmx");
  assert.ok(holder !== undefined);
  assert.notEqual(holder.program, "");
  closeSync(fd);
  assert.equal(openers(new Set(["/dev/no-such-device"])).size, 0);
});
