// Test whether systemd accepts the service file, and whether it stays confined.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ROOT } from "../../scripts/root.mjs";
import { peerPath, requirePeer } from "../support/peers.ts";

/** systemd's own scale: 0 is sealed, 10 is open; 2.1 when written. */
const EXPOSURE_MAX = 2.5;

const source = readFileSync(join(ROOT, "board/sluice.service"), "utf8");
const work = mkdtempSync(join(tmpdir(), "sluice-service-"));
after(() => rmSync(work, { recursive: true, force: true }));

test("systemd-analyze verify has no complaint", { skip: requirePeer("systemd-analyze") }, () => {
  // It wants the program to exist; here it is not installed in /opt.
  const file = join(work, "sluice.service");
  writeFileSync(file, source.replace("/opt/sluice/bin/sluice", "/bin/true"));
  const { status, stderr } = analyze("verify", "--man=no", file);
  assert.equal(status, 0, stderr);
  assert.equal(stderr, "");
});

test(`systemd-analyze security rates it at most ${EXPOSURE_MAX}`, { skip: requirePeer("systemd-analyze") }, () => {
  const { status, stdout } = analyze(
    "security",
    "--offline=yes",
    `--threshold=${EXPOSURE_MAX * 10}`,
    join(ROOT, "board/sluice.service"),
  );
  assert.equal(status, 0, stdout);
});

test("it waits for a human only after a wrong configuration", () => {
  assert.match(source, /^Restart=always$/m);
  assert.match(source, /^RestartPreventExitStatus=2$/m);
});

test("USB adapters may be opened also when their driver is loaded after the start: by major number, not by name", () => {
  // systemd looks names up in /proc/devices once. ttyUSB is 188, ttyACM 166 (Documentation/admin-guide/devices.txt).
  for (const major of [188, 166]) assert.match(source, new RegExp(`^DeviceAllow=char-${major} rw$`, "m"));
  assert.doesNotMatch(source, /char-tty(USB|ACM)/);
  assert.match(source, /^SupplementaryGroups=dialout$/m);
});

function analyze(...args: string[]) {
  return spawnSync(peerPath("systemd-analyze"), args, { encoding: "utf8", env: { ...process.env, SYSTEMD_PAGER: "" } });
}
