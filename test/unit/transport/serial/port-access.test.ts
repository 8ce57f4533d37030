import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { explainTrouble, groupOf, problemWith } from "../../../../src/transport/serial/port-access.ts";
import { temporaryFolder } from "../../../support/gateway-process.ts";
import { requireRoot } from "../../../support/peers.ts";

test("what is not in /dev, and what may be opened", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "ttyUSB0");
  assert.equal(problemWith(path), "is not in /dev: a container has to be given it (--device)");
  writeFileSync(path, "");
  assert.equal(problemWith(path), null);
});

test("the group that may read and write a device is named", { skip: requireRoot() }, () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "ttyUSB0");
  const groups = join(folder.path, "group");
  writeFileSync(path, "");
  writeFileSync(groups, "root:x:0:\ndialout:x:20:anna\n");
  chownSync(path, 0, 20);
  chmodSync(path, 0o660);
  assert.equal(groupOf(path, groups), "dialout");
  chmodSync(path, 0o640);
  assert.equal(groupOf(path, groups), null, "it may not write");
  chmodSync(path, 0o660);
  chownSync(path, 0, 21);
  assert.equal(groupOf(path, groups), null, "nobody knows it");
  assert.equal(groupOf(join(folder.path, "none"), groups), null);
});

test("a file or a folder is no serial device: the log does not speak of baud rates", () => {
  for (const words of [
    "Error: Inappropriate ioctl for device setting custom baud rate of 115200",
    "Error: Is a directory, cannot open /dev/serial/by-id",
  ]) {
    assert.match((explainTrouble(new Error(words), "/dev/x") as Error).message, /^it is no serial device; /);
  }
});

test("who may not open it is told which group to join", { skip: requireRoot() }, () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "ttyUSB0");
  writeFileSync(path, "");
  const [group = "", , id] = readFileSync("/etc/group", "utf8").split("\n").slice(1)[0]?.split(":") ?? [];
  chownSync(path, 0, Number(id));
  chmodSync(path, 0o660);
  chmodSync(folder.path, 0o755);
  const module = join(import.meta.dirname, "../../../../src/transport/serial/port-access.ts");
  const script = `
    const { problemWith } = await import(${JSON.stringify(module)});
    process.setgroups([]);
    process.setgid(65534);
    process.setuid(65534);
    console.log(problemWith(${JSON.stringify(path)}));
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  const words = `permission denied: it is for the group ${group} (usermod -aG ${group} USER, then log in anew)`;
  assert.equal(stdout.trim(), words, stderr);
  const told = explainTrouble(new Error("Error: Permission denied, cannot open /dev/x"), path) as Error;
  assert.equal(told.message, words);
  for (const words of [
    "Error Resource temporarily unavailable Cannot lock port",
    "Error: Device or resource busy, cannot open",
  ]) {
    assert.equal((explainTrouble(new Error(words), path) as Error).message, "another program has it open");
  }
  const other = new Error("Error: No such device");
  assert.equal(explainTrouble(other, path), other);
});
