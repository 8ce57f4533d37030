import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { makeStartRoom, reserveStartRoom } from "../../../src/store/start-room.ts";
import { requireRoot } from "../../support/peers.ts";
import { dataDir } from "../../support/store-fixture.ts";

const MIB = 2 ** 20;
const sizeOf = (dir: string) =>
  fs.statSync(path.join(dir, "sluice.reserve-start"), { throwIfNoEntry: false })?.size ?? 0;

test("the reserve is made once, and stays where there is room", (t) => {
  const dir = dataDir(t);
  assert.equal(reserveStartRoom(dir, MIB), true);
  assert.equal(sizeOf(dir), MIB);
  const { ino } = fs.statSync(path.join(dir, "sluice.reserve-start"));
  makeStartRoom(dir, 1000, []);
  assert.equal(reserveStartRoom(dir, MIB), true);
  assert.equal(fs.statSync(path.join(dir, "sluice.reserve-start")).ino, ino);
});

test("on a full disk both reserves are given up for the start; what does not fit is not left half made", {
  skip: requireRoot(),
}, (t) => {
  const dir = dataDir(t, 4);
  fs.writeFileSync(path.join(dir, "sluice.reserve"), Buffer.alloc(MIB));
  assert.equal(reserveStartRoom(dir, MIB), true);
  fs.writeFileSync(path.join(dir, "filler"), Buffer.alloc(2 * MIB - 64 * 1024));
  makeStartRoom(dir, 512 * 1024, ["sluice.reserve"]);
  assert.deepEqual(fs.readdirSync(dir), ["filler"]);
  assert.equal(reserveStartRoom(dir, 3 * MIB), false);
  assert.deepEqual(fs.readdirSync(dir), ["filler"]);
  assert.equal(reserveStartRoom(dir, MIB), true);
});
