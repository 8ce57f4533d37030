// Test whether the gateway at rest is as small as it says, as shipped (launcher and all).
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";

const RSS_KIB_MAX = 67 * 1024;

test("at rest with MQTT, CoAP and HTTP listeners it takes at most 67 MiB RSS", async () => {
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(
    folder.path,
    {
      listeners: [
        { type: "mqtt", bind: "127.0.0.1:0" },
        { type: "coap", bind: "127.0.0.1:0" },
        { type: "http", bind: "127.0.0.1:0" },
      ],
    },
    { MALLOC_ARENA_MAX: "1", MALLOC_TRIM_THRESHOLD_: "131072", MALLOC_MMAP_THRESHOLD_: "131072" },
  );
  await gateway.start();
  const status = readFileSync(`/proc/${gateway.pid}/status`, "utf8");
  const rssKib = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]);
  assert.ok(rssKib > 0 && rssKib <= RSS_KIB_MAX, `${rssKib} KiB`);
});

test("no bundle imports a module of node by ES import, which would run all its getters and load undici, http2, webcrypto", () => {
  const folder = resolve(import.meta.dirname, "../../build");
  const { files } = JSON.parse(readFileSync(join(folder, "stamp.json"), "utf8")) as { files: string[] };
  const bundles = files.filter((file) => file.endsWith(".mjs"));
  assert.ok(bundles.some((file) => /\/run-/.test(file)));
  for (const file of bundles) {
    const imported = readFileSync(join(folder, file), "utf8").matchAll(/^(?:import|\}) .*from "(?!\.)(.*)";$/gm);
    for (const [, name] of imported) assert.equal(name, "node:module", file);
  }
});

test("a wrong argument of `run`, which is a bundle of its own, is told in one line and with exit code 2", () => {
  const launcher = resolve(import.meta.dirname, "../../build/sluice");
  const { status, stderr } = spawnSync(launcher, ["run", "--confg", "x"], { encoding: "utf8", timeout: 10_000 });
  assert.equal(status, 2);
  assert.equal(stderr, "sluice: Unknown option '--confg'\nTry: sluice --help\n");
});
