import { mkdtempSync, rmSync } from "node:fs";
import { makeCertificates } from "./certificates.ts";
import { CloudProcess } from "./cloud-process.ts";
import { coapDevice } from "./devices/coap-device.ts";
import type { Device } from "./devices/device.ts";
import { httpDevice } from "./devices/http-device.ts";
import { mqttDevice } from "./devices/mqtt-device.ts";
import { openSerialLine, serialDevice } from "./devices/serial-device.ts";
import { type Gateway, startGateway } from "./gateway.ts";
import { fact, yellow } from "./screen.ts";

/** Everything that takes part: processes, devices and the directory they share. */
export interface Stage {
  readonly directory: string;
  readonly cloud: CloudProcess;
  readonly gateway: Gateway;
  readonly devices: readonly Device[];
}

/** Ends, in reverse order, what has been started so far. */
export class Closers {
  readonly #closers: (() => unknown)[] = [];

  add(close: () => unknown): void {
    this.#closers.push(close);
  }

  async close(): Promise<void> {
    while (this.#closers.length > 0) await this.#closers.pop()!();
  }
}

/** Sets the stage and says what stands where. */
export async function setStage(closers: Closers): Promise<Stage> {
  // A file system in memory, as /tmp often is, would make the bytes written read 0.
  const directory = mkdtempSync(`${process.env["TMPDIR"] ?? "/var/tmp"}/sluice-demo-`);
  closers.add(() => rmSync(directory, { recursive: true, force: true }));

  const { ca, issued } = await makeCertificates(directory, [
    { name: "cloud", usage: "server" },
    { name: "gateway", usage: "client" },
  ]);
  fact("certificates", "made: a CA, one for the cloud, one for the gateway");

  const cloud = new CloudProcess(directory);
  closers.add(() => cloud.stop());
  await cloud.start();
  fact("cloud", `${cloud.url}, a stand-in broker, process ${cloud.pid}`);

  const serial = await openSerialLine(directory);
  if (serial !== null) closers.add(() => serial.line.stop());
  const gateway = await startGateway({
    directory,
    ca,
    certificate: issued[1]!,
    cloudUrl: cloud.url,
    serialPort: serial?.path ?? null,
  });
  closers.add(() => gateway.process.stop());
  const { mqtt, coap, http } = gateway;
  const ports = [`mqtt ${mqtt.host}:${mqtt.port}`, `coap :${coap.port}`, `http :${http.port}`];
  if (serial !== null) ports.push(`serial ${serial.path}`);
  fact("gateway", `${ports.join("  ")}, process ${gateway.process.pid}`);
  if (serial === null) fact("", yellow("no serial line: neither python3 nor socat could open a pseudo terminal"));

  const devices = [
    await mqttDevice("thermometer", mqtt, 4, 1, 100),
    await mqttDevice("pump", mqtt, 5, 2, 60),
    coapDevice("valve", coap, 40),
    httpDevice("camera", http, 40),
    ...(serial === null ? [] : [serialDevice("meter", serial, 20)]),
  ];
  closers.add(() => Promise.all(devices.map((device) => device.close())));
  fact("devices", devices.map(({ source }) => source).join(", "));
  return { directory, cloud, gateway, devices };
}
