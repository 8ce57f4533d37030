import assert from "node:assert/strict";
import { test } from "node:test";
import type { LineSettings } from "../../../../src/config/serial-port.ts";
import { RS485_LINE, type Rs485Line } from "../../../../src/config/serial-rs485.ts";
import type { TtyAddon } from "../../../../src/native/tty/binding.ts";
import type { BoundPort } from "../../../../src/transport/serial/binding.ts";
import { notesWithoutAddon, rs485Words, SerialDriver, setUpLine } from "../../../../src/transport/serial/driver.ts";
import { driver, SETTINGS } from "./tty-driver.ts";

const NOT_BUILT = "the tty addon is not built";
const ENOTTY = -25;

const PORT = { fd: 7, getBaudRate: () => Promise.resolve({ baudRate: 9615 }) } as unknown as BoundPort;

const setUp = (settings: Partial<LineSettings>, addon: TtyAddon | string) =>
  setUpLine(PORT, { ...SETTINGS, ...settings }, addon);

test("a plain line asks nothing of the driver, and says which baud rate it has", async () => {
  const addon = driver();
  assert.deepEqual(await setUp({}, addon), { baud: 9615, rs485: null, refused: [] });
  assert.deepEqual(addon.asked, []);
  assert.deepEqual(await setUp({}, NOT_BUILT), { baud: 9615, rs485: null, refused: [] });
});

test("parity is set by the addon, which leaves nothing of another program's; 1.5 stop bits are what two are of five bits", async () => {
  const addon = driver();
  for (const parity of ["even", "odd", "mark", "space"] as const) await setUp({ parity }, addon);
  await setUp({ parity: "space", dataBits: 5, stopBits: 1.5 }, addon);
  assert.deepEqual(addon.asked, ["line 8 1 0", "line 8 2 0", "line 8 3 0", "line 8 4 0", "line 5 4 1"]);
});

test("a driver without stick parity, and a build without the addon, refuse the line, and not one that needs neither", async () => {
  const none = driver({ setLine: () => -95 });
  await assert.rejects(setUp({ parity: "mark" }, none), /^Error: parity mark: the driver cannot: .*\(ENOTSUP\)$/);
  await assert.rejects(setUp({ parity: "mark" }, NOT_BUILT), /^Error: parity mark: the tty addon is not built$/);
  assert.equal((await setUp({ parity: "even" }, NOT_BUILT)).baud, 9615);
});

const CANNOT: readonly [string, TtyAddon | string, RegExp][] = [
  ["a driver that does no RS-485", driver({ setRs485: () => ENOTTY }), /inappropriate ioctl for device \(ENOTTY\)$/],
  ["a driver that leaves it off", driver({ setRs485: (_fd, words) => words.fill(0).length - 8 }), /it leaves it off$/],
  [
    "a driver that has RTS the other way round",
    driver({ setRs485: (_fd, words) => words.fill(5, 0, 1).length - 8 }),
    /it has RTS the other way round$/,
  ],
  ["a build without the addon", NOT_BUILT, /the tty addon is not built$/],
];

for (const [title, addon, words] of CANNOT) {
  test(`RS-485: ${title} refuses \`driver\`; \`auto\` switches RTS by hand and says why`, async () => {
    await assert.rejects(setUp({ rs485: "driver" }, addon), words);
    const line = await setUp({ rs485: "auto" }, addon);
    assert.equal(line.rs485, "rts");
    assert.match(line.refused.join(), words);
    assert.deepEqual(await setUp({ rs485: "rts" }, addon), { baud: 9615, rs485: "rts", refused: [] });
  });
}

test("RS-485: a driver that can switches, and says what it leaves out", async () => {
  const addon = driver();
  for (const rs485 of ["driver", "auto"] as const) {
    assert.deepEqual(await setUp({ rs485 }, addon), { baud: 9615, rs485: "driver", refused: [] });
  }
  assert.deepEqual(addon.asked, ["rs485 3 0 0 0 0 0 0 0", "rs485 3 0 0 0 0 0 0 0"]);
  const short = driver({
    setRs485: (_fd, words) => {
      words[0] = 3;
      words[1] = 0;
      return 0;
    },
  });
  const rs485Line: Rs485Line = {
    rtsOnSend: true,
    delayBeforeMs: 2,
    delayAfterMs: 0,
    rxDuringTx: true,
    terminate: true,
  };
  const { rs485, refused } = await setUp({ rs485: "driver", rs485Line }, short);
  assert.equal(rs485, "driver");
  assert.deepEqual(refused, ["rs485.rx_during_tx", "rs485.terminate", "rs485.delay_before: 0ms"]);
});

test("RS-485 by hand: a driver that switches already is told to leave RTS alone", async () => {
  const addon = driver({ getRs485: (_fd, words) => words.fill(3, 0, 1).length - 8 });
  await setUp({ rs485: "rts" }, addon);
  assert.deepEqual(addon.asked, ["rs485 0 0 0 0 0 0 0 0"]);
  const off = driver({ getRs485: () => 0 });
  await setUp({ rs485: "rts" }, off);
  await setUp({ rs485: "none" }, addon);
  assert.deepEqual([off.asked.length, addon.asked.length], [0, 1]);
});

test("struct serial_rs485 in words", () => {
  const words = (part: Partial<Rs485Line>) => [...rs485Words({ ...RS485_LINE, ...part })];
  assert.deepEqual(words({}), [1 | 2, 0, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual(words({ rtsOnSend: false, delayBeforeMs: 1, delayAfterMs: 100 }), [1 | 4, 1, 100, 0, 0, 0, 0, 0]);
  assert.deepEqual(words({ rxDuringTx: true, terminate: true }), [1 | 2 | 16 | 32, 0, 0, 0, 0, 0, 0, 0]);
});

test("another program's port is not taken, also by root", async () => {
  await assert.rejects(setUp({}, driver({ isExclusive: () => 1 })), /another program has it open for itself alone/);
});

test("what a line gives up without the addon is said with its key", () => {
  const notes = (part: Partial<LineSettings>) => notesWithoutAddon({ ...SETTINGS, ...part }, NOT_BUILT);
  assert.deepEqual(notes({ parity: "even", rs485: "rts", lowLatency: true }), []);
  assert.deepEqual(notes({ parity: "space", rs485: "driver" }), [
    `parity: this line will not be opened, all others run: ${NOT_BUILT}`,
    `rs485: this line will not be opened, all others run: ${NOT_BUILT}`,
  ]);
  assert.deepEqual(notes({ rs485: "auto" }), [`rs485: the gateway switches by RTS: ${NOT_BUILT}`]);
  assert.match(notes({ flow: "xon-xoff" }).join(), /^flow: while devices hold up two such lines/);
});

test("low latency is a wish", async () => {
  const addon = driver();
  assert.deepEqual((await setUp({ lowLatency: true }, addon)).refused, []);
  assert.deepEqual(addon.asked, ["low latency"]);
  const none = driver({ setLowLatency: () => ENOTTY });
  assert.match((await setUp({ lowLatency: true }, none)).refused.join(), /^low_latency: .*ENOTTY/);
  assert.deepEqual((await setUp({ lowLatency: true }, NOT_BUILT)).refused, [`low_latency: ${NOT_BUILT}`]);
});

test("errors are those since the line was opened, also when the driver's count overflows; none where it does not count", () => {
  let now = [5, 6, 0xffff_ffff, 8, 9, 0, 0];
  const line = new SerialDriver(driver({ counts: (_fd, into) => into.set(now) ?? 0 }), 7);
  now = [6, 6, 1, 18, 109, 0, 0];
  assert.deepEqual(line.errors(), { framing: 1, parity: 0, overrun: 2, bufferOverrun: 100, break: 10 });
  assert.equal(new SerialDriver(driver({ counts: () => ENOTTY }), 7).errors(), null);
  assert.equal(line.clearToSend, true);
  assert.equal(new SerialDriver(driver({ modemLines: () => 0 }), 7).clearToSend, false);
  assert.equal(new SerialDriver(driver({ modemLines: () => ENOTTY }), 7).clearToSend, true, "nobody can tell");
});
