import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../src/base/clock.ts";
import { Counters } from "../../../src/base/counters.ts";
import { Log } from "../../../src/base/log.ts";

test("counters of one name are one object; gauges are read when looked at", () => {
  const counters = new Counters();
  const counter = counters.counter("mqtt.publish.received");
  let size = 1;
  counters.gauge("mqtt.connections", () => size);
  counter.value++;
  assert.equal(counters.counter("mqtt.publish.received"), counter);
  size = 3;
  assert.deepEqual(
    [...counters.entries()],
    [
      ["mqtt.publish.received", 1],
      ["mqtt.connections", 3],
    ],
  );
  assert.equal(counters.get("mqtt.connections"), 3);
  assert.equal(counters.get("nobody.counts.this"), 0);
});

test("text lines quote what is not plain, so that no value can forge a line", () => {
  const lines: string[] = [];
  const log = new Log({ level: "info", format: "text", write: (line) => lines.push(line) });
  log.warn("login-refused", { remote: "10.0.0.7:5123", user: "x\n2026 error forged", tries: 3, tls: false, cn: null });
  log.debug("not-shown");
  log.level = "debug";
  log.debug("shown");
  assert.equal(lines.length, 2);
  assert.match(
    lines[0] ?? "",
    /^\S+Z warn {2}login-refused remote=10\.0\.0\.7:5123 user="x\\n2026 error forged" tries=3 tls=false cn=null$/,
  );
  assert.match(lines[1] ?? "", /^\S+Z debug shown$/);
});

test("json lines carry time, level, event and the fields; long texts are cut", () => {
  const lines: string[] = [];
  const log = new Log({ level: "error", format: "json", write: (line) => lines.push(line) });
  log.error("disk-full", { path: "p".repeat(5000), bytes: 12 });
  log.warn("not-shown");
  assert.equal(lines.length, 1);
  const { time, path, ...rest } = JSON.parse(lines[0] ?? "");
  assert.ok(!Number.isNaN(Date.parse(time)));
  assert.equal(path.length, 2048);
  assert.deepEqual(rest, { level: "error", event: "disk-full", bytes: 12 });
});

test("a manual clock moves both times, and wall time alone", () => {
  const clock = new ManualClock(1000);
  clock.advance(5);
  assert.deepEqual([clock.nowMs(), clock.wallMs()], [5, 1005]);
  clock.setWall(10);
  assert.deepEqual([clock.nowMs(), clock.wallMs()], [5, 10]);
});
