// Test whether the gateway at rest is as small as it says, as shipped (launcher and all).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";

const RSS_KIB_MAX = 72 * 1024;

test("at rest with MQTT, CoAP and HTTP listeners it takes at most 72 MiB RSS", async () => {
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
