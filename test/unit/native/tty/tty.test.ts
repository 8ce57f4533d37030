// The tty addon over a pseudo terminal, and over one with a UART behind it (tty-shim.c).
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { test } from "node:test";
import {
  COUNTS,
  loadTty,
  loadTtyFrom,
  PARITIES,
  RS485_WORDS,
  type TtyAddon,
} from "../../../../src/native/tty/binding.ts";
import { temporaryFolder } from "../../../support/gateway-process.ts";
import { requirePeer, requireThat } from "../../../support/peers.ts";
import { Uart } from "../../../support/uart.ts";

/** SLUICE_TTY_ADDON: a folder with another build of the addon, as the checked one. */
const folder = process.env["SLUICE_TTY_ADDON"];
// The sanitizers look at this process and at those that load the addon, not at the compiler.
const sanitizers = folder === undefined ? [] : [process.env["LD_PRELOAD"]];
if (folder !== undefined) delete process.env["LD_PRELOAD"];
const loaded = folder === undefined ? loadTty() : loadTtyFrom([folder]);
const skip = requireThat(typeof loaded !== "string", String(loaded));
const addon = loaded as TtyAddon;

const ENOTTY = -25;
const EBADF = -9;

/** The master's end of a pseudo terminal is one, too. */
class Terminal {
  readonly fd = openSync("/dev/ptmx", constants.O_RDWR | constants.O_NOCTTY);
  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}

test("a line is set as it is told, and says the baud rate it has", { skip }, () => {
  using terminal = new Terminal();
  for (const baud of [50, 9600, 12_345, 115_200, 4_000_000]) {
    for (const parity of PARITIES.keys()) assert.equal(addon.setLine(terminal.fd, baud, 7, parity, 1), baud);
  }
});

test("what a pseudo terminal does not have is refused in the system's numbers", { skip }, () => {
  using terminal = new Terminal();
  assert.equal(addon.setRs485(terminal.fd, new Uint32Array(RS485_WORDS)), ENOTTY);
  assert.equal(addon.getRs485(terminal.fd, new Uint32Array(RS485_WORDS)), ENOTTY);
  assert.ok(addon.counts(terminal.fd, new Uint32Array(COUNTS.length)) < 0);
  assert.ok(addon.modemLines(terminal.fd) < 0);
  assert.ok(addon.setLowLatency(terminal.fd) < 0);
  assert.equal(addon.outputBytes(terminal.fd), 0);
  assert.equal(addon.discardOutput(terminal.fd), 0);
});

test("a descriptor that is closed, and one that is no terminal, are refused", { skip }, () => {
  const fd = openSync("/dev/null", "r");
  assert.equal(addon.outputBytes(fd), ENOTTY);
  assert.equal(addon.setLine(fd, 9600, 8, 0, 0), ENOTTY);
  closeSync(fd);
  assert.equal(addon.setRs485(fd, new Uint32Array(RS485_WORDS)), EBADF);
  assert.equal(addon.isExclusive(fd), EBADF);
});

test("wrong arguments throw, and nothing else does", { skip }, () => {
  const call = addon as unknown as Record<string, (...args: unknown[]) => unknown>;
  const wrong: [string, unknown[]][] = [
    ["setLine", []],
    ["setLine", [0, 9600, 8, 5, 0]],
    ["setLine", [0, 9600, 9, 0, 0]],
    ["setLine", [0, 9600, 8, 0, 2]],
    ["setLine", [0, -1, 8, 0, 0]],
    ["setLine", [0, Number.NaN, 8, 0, 0]],
    ["setLine", [0.5, 9600, 8, 0, 0]],
    ["setRs485", [0]],
    ["setRs485", [0, new Uint32Array(7)]],
    ["setRs485", [0, new Uint8Array(32)]],
    ["getRs485", [0, {}]],
    ["counts", [0, new Uint32Array(6)]],
    ["outputBytes", ["0"]],
    ["outputBytes", [-1]],
    ["modemLines", [undefined]],
    ["setLowLatency", [2 ** 31]],
    ["isExclusive", [null]],
    ["discardOutput", [Number.POSITIVE_INFINITY]],
  ];
  for (const [name, args] of wrong) assert.throws(() => call[name]?.(...args), RangeError, `${name} ${args.join()}`);
});

test("by a UART: the bytes of struct serial_rs485, what the driver makes of them, parity, counts, what waits", {
  skip: skip || requirePeer("cc"),
}, () => {
  using home = temporaryFolder();
  const uart = new Uart(home.path);
  const run = (code: string): unknown => {
    const file = folder === undefined ? "undefined" : JSON.stringify([folder]);
    const script = `
      const { loadTty, loadTtyFrom } = await import(${JSON.stringify(`${import.meta.dirname}/../../../../src/native/tty/binding.ts`)});
      const { openSync } = await import("node:fs");
      const addon = ${file === "undefined" ? "loadTty()" : `loadTtyFrom(${file})`};
      const fd = openSync("/dev/ptmx", "r+");
      const words = new Uint32Array(8), counts = new Uint32Array(7);
      console.log(JSON.stringify(await (async () => { ${code} })()));
    `;
    const preload = [...sanitizers, uart.env["LD_PRELOAD"]].join(" ");
    const env = { ...process.env, NODE_TEST_CONTEXT: undefined, ...uart.env, LD_PRELOAD: preload };
    const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      env,
      encoding: "utf8",
    });
    assert.notEqual(stdout, "", stderr);
    return JSON.parse(stdout);
  };
  uart.set({ rs485_lacks: 32 });
  const kept = run("words.set([1 | 2 | 32, 3, 5]); return [addon.setRs485(fd, words), [...words]]");
  assert.deepEqual(kept, [0, [3, 3, 5, 0, 0, 0, 0, 0]]);
  assert.equal(uart.asked.at(-1), `rs485 ${"23000000" + "03000000" + "05000000"}${"00000000".repeat(5)}`);
  uart.set({ rs485_errno: 22 });
  assert.equal(run("return addon.setRs485(fd, words)"), -22);

  assert.equal(run("return addon.setLine(fd, 12345, 7, 3, 1)"), 12_345);
  assert.equal(uart.asked.at(-1), "line 12345, 7 bits, parity odd stick, 2 stop");
  assert.equal(run("return addon.setLine(fd, 9600, 8, 4, 0)"), 9600);
  assert.equal(uart.asked.at(-1), "line 9600, 8 bits, parity stick, 1 stop");
  uart.set({ cmspar: 0 });
  assert.equal(run("return addon.setLine(fd, 9600, 8, 4, 0)"), -95, "a driver that would make even parity of it");
  assert.equal(run("return addon.setLine(fd, 9600, 8, 1, 0)"), 9600);

  uart.set({ icount: 1, framing: 1, parity: 2, overrun: 3, break: 4, buffer_overrun: 5 });
  assert.deepEqual(run("return [addon.counts(fd, counts), [...counts]]"), [0, [1, 2, 3, 4, 5, 0, 0]]);
  uart.set({ outq: 77, cts: 0 });
  assert.deepEqual(run("return [addon.outputBytes(fd), addon.modemLines(fd)]"), [77, 0]);
  assert.equal(run("return addon.setLowLatency(fd)"), 0);
  assert.equal(uart.asked.at(-1), "low latency");
  assert.equal(run("return addon.isExclusive(fd)"), 0);
  uart.set({ excl: 1 });
  assert.equal(run("return addon.isExclusive(fd)"), 1);
});

test("a terminal goes on as it did: bytes pass after all of it", { skip }, () => {
  using terminal = new Terminal();
  addon.setLine(terminal.fd, 9600, 8, 0, 0);
  assert.equal(writeSync(terminal.fd, "x"), 1);
});
