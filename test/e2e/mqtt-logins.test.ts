// Test whether a storm of logins by password is spread over time instead of refused.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { connectAsync } from "mqtt";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";

const CLIENTS = 24;

test("logins beyond limits.handshakes_per_second wait their turn, and all come in", async () => {
  using folder = temporaryFolder();
  const passwords = join(folder.path, "passwd");
  assert.equal((await sluice(["passwd", "--stdin", passwords, "meter"], "secret\n")).code, 0);
  await using gateway = new GatewayProcess(folder.path, {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    auth: { password_file: passwords, anonymous: "never" },
    limits: { handshakes_per_second: 10 },
  });
  await gateway.start();
  const port = gateway.port();
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, (_, i) =>
      connectAsync({
        host: "127.0.0.1",
        port,
        clientId: `meter-${i}`,
        username: "meter",
        password: "secret",
        reconnectPeriod: 0,
      }),
    ),
  );
  assert.equal(clients.filter((client) => client.connected).length, CLIENTS);
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  const { counters } = JSON.parse(stdout) as { counters: Record<string, number> };
  assert.ok((counters["transport.logins_deferred"] ?? 0) > 0, "some had to wait");
  await Promise.all(clients.map((client) => client.endAsync(true)));
});
