// What the driver of a UART does for a line, against the running gateway: RS-485, stick parity, flow control, errors on the
// wire. The UART is tty-shim.c's, before a pseudo terminal of socat's.
import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Cable } from "../support/cable.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";
import { Uart } from "../support/uart.ts";

const skip = requirePeer("socat", "cc");

interface Site {
  readonly cable: Cable;
  readonly uart: Uart;
  readonly gateway: GatewayProcess;
  log(word: string): string[];
  status(): Promise<Record<string, unknown>>;
}

/** A gateway with one line over a UART, both ways at QoS 1. */
async function site(t: TestContext, line: Record<string, unknown>, uartWords: Record<string, number>): Promise<Site> {
  const folder = temporaryFolder();
  const cable = new Cable(folder.path);
  await cable.plug();
  const uart = new Uart(folder.path);
  uart.set(uartWords);
  const meter = {
    name: "meter",
    port: cable.port,
    publish: { topic: "meter", qos: 1 },
    write: { topic: "set", qos: 1 },
  };
  const config = { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }], serial: [{ ...meter, ...line }] };
  const gateway = new GatewayProcess(folder.path, config, uart.env);
  t.after(async () => {
    await gateway[Symbol.asyncDispose]();
    await cable.unplug();
    folder[Symbol.dispose]();
  });
  await gateway.start();
  const status = async (): Promise<Record<string, unknown>> => {
    const { stdout } = await sluice(["status", "--json", "--data-dir", join(folder.path, "data")]);
    return (JSON.parse(stdout) as { serial: Record<string, unknown>[] }).serial[0] as Record<string, unknown>;
  };
  const log = (word: string): string[] => gateway.stderr.split("\n").filter((text) => text.includes(word));
  return { cable, uart, gateway, log, status };
}

async function write(gateway: GatewayProcess, ...payloads: string[]): Promise<void> {
  await using client = await MqttCollector.open(gateway.port(), "none");
  for (const payload of payloads) await client.client.publishAsync("set", payload, { qos: 1 });
}

test("RS-485 by the driver: it is told once, RTS is left alone, and frames go both ways", { skip }, async (t) => {
  const line = {
    rs485: { mode: "driver", delay_before: "1ms", delay_after: "2ms", terminate: true },
    low_latency: true,
  };
  const { cable, uart, gateway, log, status } = await site(t, line, { rs485_lacks: 32 });
  await eventually("the line is open", () => log("serial-open").length === 1);
  await write(gateway, "hello");
  await eventually("the frame", () => cable.heard === "hello\n");
  const words = ["03000000", "01000000", "02000000", ...Array.from({ length: 5 }, () => "00000000")];
  const told = uart.asked.filter((word) => word !== "drain");
  assert.deepEqual(told, [`rs485 ${words.join("")}`.replace("03", "23"), "low latency"]);
  assert.match(log("serial-open").join(), /rs485=driver not_by_driver=rs485.terminate$/);
  const { rs485, driver } = (await status()) as { rs485: string; driver: Record<string, unknown> };
  assert.equal(rs485, "driver");
  assert.deepEqual([driver["rs485"], driver["refused"]], ["driver", ["rs485.terminate"]]);
});

test("RS-485 where the driver cannot: `auto` switches RTS by hand, inverted where asked", { skip }, async (t) => {
  const line = { rs485: { mode: "auto", rts_on_send: false, delay_before: "1ms", delay_after: "1ms" } };
  const { cable, uart, gateway, log, status } = await site(t, line, { rs485_errno: 25 });
  await eventually("the line is open", () => log("serial-open").length === 1);
  await write(gateway, "one");
  await eventually("the frame", () => cable.heard === "one\n");
  await eventually("the switch", () => uart.asked.at(-1) === "rts on");
  assert.deepEqual(uart.asked.slice(1), ["rts on", "rts off", "drain", "rts on"]);
  assert.match(
    log("serial-open").join(),
    /rs485=rts not_by_driver="rs485: inappropriate ioctl for device \(ENOTTY\)"$/,
  );
  assert.equal(((await status())["driver"] as Record<string, unknown>)["rs485"], "rts");
});

test("RS-485 where the driver cannot, and has to: the line stays away and says why, once", { skip }, async (t) => {
  const { uart, log, status } = await site(t, { rs485: "driver" }, { rs485_errno: 25 });
  await eventually("three tries", () => uart.asked.length >= 3);
  const away = log("serial-away");
  assert.equal(away.length, 1);
  const words = "rs485: the driver cannot switch the transmitter: inappropriate ioctl for device (ENOTTY)";
  assert.ok(away[0]?.includes(words), away[0]);
  assert.equal((await status())["error"], words);
  uart.set({ rs485_errno: 0 });
  await eventually("it is open once the driver can", () => log("serial-open").length === 1);
});

test("space parity is the driver's to keep: one that makes even parity of it is refused", { skip }, async (t) => {
  const line = { parity: "space", data_bits: 7, baud: 12_345 };
  const { cable, uart, gateway, log } = await site(t, line, { cmspar: 0 });
  await eventually("it is refused", () => log("serial-away").length === 1);
  assert.match(log("serial-away").join(), /parity space: the driver cannot: .*\(ENOTSUP\)/);
  uart.set({ cmspar: 1 });
  await eventually("the line is open", () => log("serial-open").length === 1);
  assert.equal(uart.asked.filter((word) => word !== "drain").at(-1), "line 12345, 7 bits, parity stick, 1 stop");
  await write(gateway, "hello");
  await eventually("the frame", () => cable.heard === "hello\n");
});

test("status counts what went wrong on the wire since the line was opened", { skip }, async (t) => {
  const { cable, uart, gateway, log, status } = await site(t, {}, { icount: 1, framing: 100, parity: 7 });
  await eventually("the line is open", () => log("serial-open").length === 1);
  uart.set({ framing: 103, overrun: 2, break: 1, buffer_overrun: 4 });
  cable.say("reading\n");
  await write(gateway, "hello");
  await eventually("the frame", () => cable.heard === "hello\n");
  const { driver, bytesRead, bytesWritten, opened } = await status();
  assert.deepEqual((driver as Record<string, unknown>)["errors"], {
    framing: 3,
    parity: 0,
    overrun: 2,
    bufferOverrun: 4,
    break: 1,
  });
  assert.deepEqual([bytesRead, bytesWritten, opened], [8, 6, 1]);
});
