// `sluice serial sniff` at a cable, at a terminal server's port, and at a port that the gateway has.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { Cable } from "../support/cable.ts";
import { requestOf } from "../support/coap-messages.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { requirePeer } from "../support/peers.ts";
import { coapFrame, slip } from "../support/slipmux-peer.ts";

/** `sluice serial sniff` as a process that is ended by Ctrl-C. */
class Sniff {
  stdout = "";
  stderr = "";
  readonly #child: ChildProcess;

  constructor(...words: string[]) {
    const [program = "", ...args] = GatewayProcess.command;
    const child = spawn(program, [...args, "serial", "sniff", ...words], { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout?.on("data", (text) => {
      this.stdout += text;
    });
    child.stderr?.on("data", (text) => {
      this.stderr += text;
    });
    this.#child = child;
  }

  opened(times = 1): Promise<void> {
    return eventually("sniff has it open", () => this.stderr.split(" is open").length > times);
  }

  async interrupt(): Promise<number | null> {
    this.#child.kill("SIGINT");
    const [code] = await once(this.#child, "close");
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "close");
  }
}

test("frames of a device are shown with the verdict of their check; Ctrl-C ends with the sum, and a replug does not", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  await using sniff = new Sniff(cable.port, "--framing", "slip", "--check", "crc16-modbus", "--baud", "9600");
  await sniff.opened();
  cable.say(Buffer.from("c00103000a0001a408c0", "hex"));
  cable.say(Buffer.from("c00103000a0001ff08c0", "hex"));
  await eventually("two frames", () => sniff.stdout.includes("its check would be a4 08"));
  assert.match(sniff.stdout, /^\d\d:\d\d:\d\d\.\d{3} +ok +8 {2}01 03 00 0a 00 01 a4 08 +\.{8}$/m);
  assert.match(sniff.stdout, /^\d\d:\d\d:\d\d\.\d{3} +\+\d+\.\d{3} check +8 {2}01 03 00 0a 00 01 ff 08 +\.{8}$/m);

  await cable.unplug();
  await eventually("it notices", () => sniff.stderr.includes("waiting for it"));
  await cable.plug();
  await sniff.opened(2);
  cable.say(Buffer.from("c0aac0", "hex"));
  await eventually("the next frame", () => /check +1 {2}aa/.test(sniff.stdout));
  assert.equal(await sniff.interrupt(), 0);
  assert.match(sniff.stdout, /\n1 frame, 2 bad \(check 2\), 23 bytes in \d+\.\d s, \d+ a second\n$/);
});

test("lines of a terminal server are told as JSON, and -C ends after so many", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const connected = once(server, "connection");
  const sniffed = sluice(["serial", "sniff", port, "--json", "-C", "2", "-W", "20"]);
  const [socket] = (await connected) as [Socket];
  socket.write("21.5 °C\r\n22.0\nand more");
  const { code, stdout } = await sniffed;
  socket.destroy();
  server.close();
  assert.equal(code, 0);
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    lines.map(({ time: _time, sinceMs: _since, seconds: _seconds, ...line }) => line),
    [
      { verdict: "unchecked", bytes: 8, hex: "32312e3520c2b043", text: "21.5 °C" },
      { verdict: "unchecked", bytes: 4, hex: "32322e30", text: "22.0" },
      { frames: 2, bad: {}, bytes: 23 },
    ],
  );
});

test("a check behind the end, text in an encoding and lines of any end are shown as the configuration will have them", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  const shown = async (framing: string, check: string, says: Buffer): Promise<[verdict: string, text: string][]> => {
    await using sniff = new Sniff(cable.port, "--framing", framing, "--check", check, "--json", "-C", "2");
    await sniff.opened();
    cable.say(says);
    await eventually("the sum", () => sniff.stdout.includes('"frames"'));
    const lines = sniff.stdout.trim().split("\n").slice(0, 2);
    return lines.map((line) => JSON.parse(line)).map(({ verdict, text }) => [verdict, text]);
  };
  // The frame is NEC's example of its check, then with another check.
  const bcc = "{type: xor8, position: behind, covers: end}";
  const framing = '{type: start-end, start: "hex:01", end: "hex:03"}';
  assert.deepEqual(await shown(framing, bcc, Buffer.from("\x010A0E0A\x0200100064\x03w\r\x01A\x03A\r", "latin1")), [
    ["ok", "0A0E0A\x0200100064"],
    ["check", "A\x03A"],
  ]);
  const lines = '{delimiter: ["\\r", "\\n"], encoding: cp437, trim: true}';
  assert.deepEqual(await shown(lines, "none", Buffer.from(" 5\xf8C \rok\n", "latin1")), [
    ["unchecked", "5°C"],
    ["unchecked", "ok"],
  ]);
});

test("a port that the gateway has open is refused with its process; so are ports and framings that are none", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  const listeners = [{ type: "mqtt", bind: "127.0.0.1:0" }];
  await using gateway = new GatewayProcess(folder.path, { listeners, serial: [{ name: "meter", port: cable.port }] });
  await gateway.start();
  await gateway.opened();
  const held = await sluice(["serial", "sniff", cable.port]);
  assert.equal(held.code, 1);
  assert.match(held.stderr, new RegExp(`process ${gateway.pid} \\(.*\\) has it open`));
  assert.match(held.stderr, /take the line out of it and `sluice reload`/);
  const byName = await sluice(["serial", "sniff", "meter", "--config", gateway.configFile]);
  assert.equal(byName.code, 1);
  assert.match(byName.stderr, new RegExp(`process ${gateway.pid} `));

  const absent = await sluice(["serial", "sniff", `${folder.path}/nowhere`]);
  assert.equal(absent.code, 1);
  assert.match(absent.stderr, /nowhere: .*No such file/);
  const file = await sluice(["serial", "sniff", gateway.configFile]);
  assert.equal(file.code, 1);
  assert.match(file.stderr, /it is no serial device/);
  const name = await sluice(["serial", "sniff", "meter"]);
  assert.equal(name.code, 1);
  assert.match(name.stderr, /for the name of a line give --config FILE/);
  for (const [words, problem] of [
    [[], /serial sniff needs one PORT/],
    [["/dev/a", "--framing", "slop"], /--framing "?slop"? is not possible; did you mean slip\?/],
    [["/dev/a", "--check", "crc61"], /--check "?crc61"? is not possible/],
    [["/dev/a", "--baud", "fast"], /--baud "?fast"? is no whole number/],
    [["/dev/a", "--framing", "{type: fixed}"], /--framing/],
    [["tcp://nowhere"], /PORT /],
    [["tcp://127.0.0.1:1", "--baud", "auto"], /--baud auto needs a device/],
    [["/dev/a", "--framing", "slip", "--baud", "auto"], /--baud auto needs a --check/],
    [["/dev/a", "--framing", "modbus", "--check", "crc8"], /--check is part of --framing modbus/],
    [["/dev/a", "--hex", "--json"], /--hex and --json exclude each other/],
    [["/dev/a", "--write", folder.path], /--write .*EEXIST/],
    [["none", "--config", gateway.configFile], /has no serial line "none"; it has meter$/m],
    [["meter", "--config", gateway.configFile, "--baud", "9600"], /--baud is what the configuration says/],
    [["meter", "--config", folder.path], /is no valid configuration/],
  ] as const) {
    const { code, stderr } = await sluice(["serial", "sniff", ...words]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, problem);
  }
  assert.equal(await gateway.end(), 0);
});

test("a line is sniffed by its name as the configuration has it: slipmux in words, and all bytes in a file", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  const config = join(folder.path, "gateway.yaml");
  writeFileSync(config, JSON.stringify({ serial: [{ name: "node", port: cable.port, protocol: "coap" }] }));
  const file = join(folder.path, "capture");
  await using sniff = new Sniff("node", "--config", config, "--write", file);
  await sniff.opened();
  assert.match(sniff.stderr, /is open: 115200 8N1, slipmux; only listening/);
  const frame = coapFrame(requestOf({ code: "GET", messageId: 7, confirmable: true }, "/ps/a"));
  cable.say(Buffer.concat([frame, slip(Buffer.from("\nbooted"))]));
  await eventually("both frames", () => sniff.stdout.includes("text for people"));
  assert.match(sniff.stdout, / ok +12 /);
  assert.match(sniff.stdout, /\n +CoAP CON GET mid 0007 \/ps\/a\n/);
  cable.say(Buffer.from("c0a940", "hex"));
  await eventually("the rest", () => statSync(file).size === frame.length + 12);
  assert.equal(await sniff.interrupt(), 0);
  assert.match(sniff.stderr, /2 bytes of a frame whose end has not come/);
  assert.equal(readFileSync(file).subarray(0, frame.length).equals(frame), true);
});

test("both sides of a Modbus line are told in words, at a rate that is found", {
  skip: requirePeer("socat"),
}, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  await using sniff = new Sniff(cable.port, "--framing", "modbus", "--baud", "auto");
  // A pair of terminals has no rate, so the first one is right.
  const talking = setInterval(() => cable.say(Buffer.from("0103000a0001a408010302004c", "hex")), 50);
  await eventually("a rate", () => sniff.stderr.includes("is open: 115200 8N1"));
  await eventually("a frame", () => sniff.stdout.includes("unit 1: read holding registers 10, 1 of them"));
  clearInterval(talking);
  assert.equal(await sniff.interrupt(), 0);
});

test("a device that sends faster than frames can be shown takes no memory; who reads no more ends it", async () => {
  const server = createServer((socket) => {
    const chunk = Buffer.alloc(64 * 1024, 0x55);
    const fill = (): void => {
      while (socket.write(chunk));
    };
    socket.on("drain", fill).on("error", () => {});
    fill();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const [program = "", ...args] = GatewayProcess.command;
  const child = spawn(program, [...args, "serial", "sniff", port, "--framing", "{type: fixed, bytes: 4}"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const bytes = () => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]) * 1024;
  let shown = 0;
  child.stdout.on("data", (text) => {
    shown += text.length;
  });
  await eventually("much is shown", () => shown > 20_000_000);
  assert.ok(bytes() < 256 << 20, `${bytes()}`);
  child.stdout.destroy();
  const [code] = await once(child, "exit");
  assert.equal(code, 0);
  server.close();
});
