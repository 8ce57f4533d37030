// A short form of the soak: everything that peers do to the gateway, weighed before and after. What leaks a little for
// each client shows here, as some two thousand come and go; in a long run they come and go for ten minutes.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { temporaryFolder } from "../support/gateway-process.ts";
import { requirePeer } from "../support/peers.ts";

const BENCH = resolve(import.meta.dirname, "../../bench/soak/run.ts");
const SEED = process.env["SLUICE_LONG"];
/** The short form allows three times as much: code that runs for the first time is compiled after its short warm-up. */
const FORM =
  SEED === undefined ? { minutes: 0.2, growKib: 3 * 1024, seed: "1" } : { minutes: 10, growKib: 1024, seed: SEED };
/** What a run is long enough for on a slow machine. */
const LIVES_MIN = 200;
/** Ten minutes peak at 109 and 111 MB; bench/README.md says what of. */
const PEAK_BYTES_MAX = 128e6;

interface Soaked {
  readonly grown: number;
  readonly unanswered: number;
  readonly lives: Readonly<Record<string, number>>;
  /** Of the way to the cloud. */
  readonly cuts: number;
  readonly end: {
    readonly fds: number;
    readonly peakBytes: number;
    readonly counters: Readonly<Record<string, number>>;
  };
  readonly begin: Soaked["end"];
}

test("after some thousand clients of all kinds have come and gone and the uplink was cut, the gateway holds what it held before, and peaked below 128 MB", {
  skip: requirePeer("mosquitto"),
}, async () => {
  using folder = temporaryFolder();
  const json = join(folder.path, "soak.json");
  const { minutes, growKib, seed } = FORM;
  const form = ["--minutes", String(minutes), "--grow-kib", String(growKib), "--seed", String(Number(seed))];
  const flags = [...form, "--json", json];
  await promisify(execFile)(process.execPath, [BENCH, ...flags]); // fails when the heap grew by more
  const { lives, unanswered, cuts, begin, end } = JSON.parse(readFileSync(json, "utf8")) as Soaked;
  assert.equal(unanswered, 0, "answers that did not come");
  const lived = Object.values(lives).reduce((sum, count) => sum + count, 0);
  assert.ok(lived >= LIVES_MIN, `${lived} lives`);
  assert.ok(cuts > 0, "the uplink was cut");
  assert.ok(end.peakBytes < PEAK_BYTES_MAX, `${(end.peakBytes / 1e6).toFixed(1)} MB RSS at most`);
  assert.ok(Math.abs(end.fds - begin.fds) <= 4, `${begin.fds} descriptors before, ${end.fds} after`);
});
