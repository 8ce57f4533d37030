// What an operator, or a script, may have put where the store's files belong: a clear word, no waiting, nothing changed.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { sluice, temporaryFolder } from "../support/gateway-process.ts";

const pipe = (file: string) => execFileSync("mkfifo", [file]);
const folder = (file: string) => mkdirSync(file);
const link = (file: string) => symlinkSync("/nowhere/sluice.db", file);

const CASES: readonly [string, string, (file: string) => void, RegExp][] = [
  ["a folder instead of the database", "sluice.db", folder, /sluice\.db is a folder: move it away/],
  ["a named pipe instead of the database", "sluice.db", pipe, /sluice\.db is no plain file: move it away/],
  ["a database elsewhere", "sluice.db", link, /sluice\.db is a symbolic link: set data_dir to the folder/],
  ["a log elsewhere", "sluice.db-wal", link, /sluice\.db-wal is a symbolic link/],
  ["a folder instead of the log", "sluice.db-wal", folder, /sluice\.db-wal is a folder/],
  ["a folder instead of the lock", "sluice.lock", folder, /sluice\.lock is a folder/],
  ["a named pipe instead of a reserve", "sluice.reserve-start", pipe, /sluice\.reserve-start is no plain file/],
];

for (const [title, name, make, complaint] of CASES) {
  test(`${title}: the start says which file, and leaves it alone`, async () => {
    using place = temporaryFolder();
    const dataDir = join(place.path, "data");
    mkdirSync(dataDir);
    make(join(dataDir, name));
    const { code, stderr } = await run(place.path, dataDir);
    assert.match(stderr, complaint);
    assert.equal(code, 1);
    assert.deepEqual(readdirSync(dataDir), [name]);
  });
}

test("a file instead of the data directory, or of a folder above it", async () => {
  using place = temporaryFolder();
  const file = join(place.path, "data");
  writeFileSync(file, "");
  for (const dataDir of [file, join(file, "below")]) {
    const { code, stderr } = await run(place.path, dataDir);
    assert.match(stderr, /data_dir \S+ is no folder/);
    assert.equal(code, 1);
  }
});

function run(place: string, dataDir: string): ReturnType<typeof sluice> {
  const config = join(place, "gateway.yaml");
  writeFileSync(config, JSON.stringify({ data_dir: dataDir, listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }] }));
  return sluice(["run", "--config", config]);
}
