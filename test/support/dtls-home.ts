// A running gateway with DTLS listeners, and what it says of them.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { eventually } from "./eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "./gateway-process.ts";

export interface DtlsHome {
  readonly folder: string;
  readonly gateway: GatewayProcess;
}

/** A gateway with a DTLS listener; it ends with the test. */
export async function dtlsHome(
  t: TestContext,
  dtls: Record<string, unknown> | Record<string, unknown>[],
  config: Record<string, unknown> = {},
  files: Record<string, string> = {},
  { host = "127.0.0.1", command }: { host?: string; command?: string[] } = {},
): Promise<DtlsHome> {
  const folder = temporaryFolder();
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder.path, name), text);
  const listeners = [
    { type: "mqtt", bind: "127.0.0.1:0" },
    ...[dtls].flat().map((keys) => ({ type: "coap", bind: `${host}:0`, dtls: keys })),
  ];
  const gateway = new GatewayProcess(folder.path, { listeners, ...config }, {}, command);
  t.after(async () => {
    await gateway.end("SIGKILL");
    folder[Symbol.dispose]();
  });
  await gateway.start();
  return { folder: folder.path, gateway };
}

export async function statusOf(gateway: GatewayProcess): Promise<{
  listeners: { type: string; address: string; refused?: string }[];
  counters: Record<string, number>;
}> {
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  return JSON.parse(stdout);
}

/** Of `dtls.<name>`. */
export async function dtlsCount(gateway: GatewayProcess, name: string): Promise<number> {
  return (await statusOf(gateway)).counters[`dtls.${name}`] ?? 0;
}

/** Nothing of anybody is left. */
export async function nobodyLeft(gateway: GatewayProcess): Promise<void> {
  await eventually("no session and no handshake", async () => {
    const { counters } = await statusOf(gateway);
    return counters["dtls.sessions"] === 0 && counters["dtls.half_open"] === 0;
  });
}
