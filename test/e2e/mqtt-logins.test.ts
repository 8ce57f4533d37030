// Test whether a storm of logins by password is spread over time instead of refused; over HTTP and CoAP, where nobody
// waits, whether those beyond the limit are told when to come again.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { connectAsync } from "mqtt";
import { ask } from "../support/coap-peers.ts";
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

test("HTTP and CoAP: logins beyond limits.handshakes_per_second get 503 and 5.03 with a time; who is known goes on", async () => {
  using folder = temporaryFolder();
  const passwords = join(folder.path, "passwd");
  assert.equal((await sluice(["passwd", "--stdin", passwords, "meter"], "secret\n")).code, 0);
  await using gateway = new GatewayProcess(folder.path, {
    listeners: [
      { type: "http", bind: "127.0.0.1:0" },
      { type: "coap", bind: "127.0.0.1:0" },
    ],
    auth: { password_file: passwords, anonymous: "never" },
    limits: { handshakes_per_second: 1 },
  });
  await gateway.start();
  const put = (password: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${gateway.port("http")}/topics/t`, {
      method: "PUT",
      body: "1",
      headers: { authorization: `Basic ${Buffer.from(`meter:${password}`).toString("base64")}` },
    });
  assert.equal((await put("secret")).status, 204);
  const answers = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => put(`wrong-${i}`)));
  const statuses = answers.map(({ status }) => status);
  assert.deepEqual(
    [...new Set(statuses)].filter((status) => status !== 401),
    [503],
  );
  const busy = answers.find(({ status }) => status === 503) as Response;
  assert.ok(Number(busy.headers.get("retry-after")) >= 1);
  for (let i = 0; i < CLIENTS; i++) assert.equal((await put("secret")).status, 204, "verified before");

  const asked = Array.from({ length: CLIENTS }, (_, i) => ask(gateway, `/ps/t?username=meter&password=wrong-${i}`));
  const refused = (await Promise.all(asked)).find(({ code }) => code === "5.03");
  assert.ok(refused !== undefined && Number(refused.headers["Max-Age"]) >= 1);
});
