// `sluice serial sniff` at a cable, at a terminal server's port, and at a port that the gateway has.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { Cable } from "../support/cable.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { requirePeer } from "../support/peers.ts";

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
  assert.match(sniff.stdout, /^\d\d:\d\d:\d\d\.\d{3} ok +8 {2}01 03 00 0a 00 01 a4 08 +\.{8}$/m);
  assert.match(sniff.stdout, /^\d\d:\d\d:\d\d\.\d{3} check +8 {2}01 03 00 0a 00 01 ff 08 +\.{8}$/m);

  await cable.unplug();
  await eventually("it notices", () => sniff.stderr.includes("waiting for it"));
  await cable.plug();
  await sniff.opened(2);
  cable.say(Buffer.from("c0aac0", "hex"));
  await eventually("the next frame", () => /check +1 {2}aa/.test(sniff.stdout));
  assert.equal(await sniff.interrupt(), 0);
  assert.match(sniff.stdout, /\n1 frames, 2 bad \(check 2\), 23 bytes\n$/);
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
    lines.map(({ time: _time, ...line }) => line),
    [
      { verdict: "unchecked", bytes: 8, hex: "32312e3520c2b043", text: "21.5 °C" },
      { verdict: "unchecked", bytes: 4, hex: "32322e30", text: "22.0" },
      { frames: 2, bad: {}, bytes: 23 },
    ],
  );
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
  await eventually("the port is open", () => gateway.stderr.includes("serial-open"));
  const held = await sluice(["serial", "sniff", cable.port]);
  assert.equal(held.code, 1);
  assert.match(held.stderr, new RegExp(`process ${gateway.pid} \\(.*\\) has it open`));
  assert.match(held.stderr, /a running gateway holds the ports of its configuration/);

  const absent = await sluice(["serial", "sniff", `${folder.path}/nowhere`]);
  assert.equal(absent.code, 1);
  assert.match(absent.stderr, /nowhere: .*No such file/);
  for (const [words, problem] of [
    [[], /serial sniff needs one PORT/],
    [["/dev/a", "--framing", "slop"], /--framing "?slop"? is not possible; did you mean slip\?/],
    [["/dev/a", "--check", "crc61"], /--check "?crc61"? is not possible/],
    [["/dev/a", "--baud", "fast"], /--baud "?fast"? is no whole number/],
    [["/dev/a", "--framing", "{type: fixed}"], /--framing/],
    [["tcp://nowhere"], /PORT /],
  ] as const) {
    const { code, stderr } = await sluice(["serial", "sniff", ...words]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, problem);
  }
  assert.equal(await gateway.end(), 0);
});
