import assert from "node:assert/strict";
import { test } from "node:test";
import { lineOf, listed, seen } from "../../../src/cli/serial-list.ts";
import { type SerialStatus, serialLines } from "../../../src/cli/serial-text.ts";

const PORT: SerialStatus = {
  name: "meter",
  port: "/dev/nowhere0",
  device: "/dev/nowhere0",
  open: true,
  sinceMs: 0,
  error: null,
  lastError: null,
  opened: 0,
  bytesRead: 0,
  bytesWritten: 0,
  heldBy: null,
  driver: null,
  baud: 9600,
  dataBits: 8,
  parity: "none",
  stopBits: 1,
  flow: "none",
  rs485: "none",
};

const ADAPTER = {
  path: "/dev/nowhere0",
  byId: "/dev/serial/by-id/usb-A",
  byPath: "/dev/serial/by-path/x",
  usb: { vendor: "0403", product: "6001", serial: "A10K", interface: 0, words: "FT232R\x1b[31m" },
  driver: "ftdi_sio",
};

test("a device in the list says what it is, and who has it open", () => {
  const usb = "0403:6001 serial A10K interface 0 (FT232R?[31m)";
  const lines = (devices: (typeof ADAPTER)[], port = PORT) =>
    listed(devices, [port]).map((d) => lineOf(seen(d, null, null)));
  assert.deepEqual(lines([ADAPTER]), [`/dev/nowhere0  ${usb}  ftdi_sio  open as meter  /dev/serial/by-id/usb-A`]);
  const bare = { path: "/dev/ttyS0", byId: null, byPath: null, usb: null, driver: "serial8250" };
  assert.deepEqual(
    listed([bare], [PORT]).map((d) => lineOf(seen(d, null, null))),
    [
      "/dev/ttyS0  serial8250",
      "/dev/nowhere0  open as meter", // a pseudo terminal
    ],
  );
  assert.equal(listed([ADAPTER], [{ ...PORT, open: false }])[0]?.openAs, null);
  assert.deepEqual(listed([], [{ ...PORT, port: "tcp://a:1", device: null }]), []);
});

test("a device that a line of the gateway waits for says so, and why it has it not", () => {
  const line = { ...PORT, open: false, device: null, error: "permission denied" };
  const [device] = listed([ADAPTER], [line]);
  assert.deepEqual(device?.awayAs, { name: "meter", error: "permission denied" });
  assert.match(
    device === undefined ? "" : lineOf(seen(device, null, null)),
    / {2}away as meter: permission denied {2}/,
  );
  assert.equal(listed([ADAPTER], [{ ...line, port: "tcp://a:1" }])[0]?.awayAs, null);
});

test("who has it open, why it cannot be, and, without a serial number, where it is plugged in", () => {
  const device = {
    path: "/dev/ttyS0",
    byId: null,
    byPath: "/dev/serial/by-path/p",
    usb: null,
    driver: null,
    openAs: null,
    awayAs: null,
  };
  const minicom = { pid: 12, program: "mini\x1bcom" };
  assert.equal(lineOf(seen(device, minicom, null)), "/dev/ttyS0  open by process 12 (mini?com)  /dev/serial/by-path/p");
  assert.equal(
    lineOf(seen(device, { pid: 12, program: "" }, "no")),
    "/dev/ttyS0  open by process 12  no  /dev/serial/by-path/p",
  );
  const ours = seen({ ...device, openAs: "meter" }, minicom, "no");
  assert.equal(lineOf(ours), "/dev/ttyS0  open as meter  /dev/serial/by-path/p");
  const numbered = { ...device, usb: ADAPTER.usb };
  assert.equal(lineOf(seen(numbered, null, null)).includes("by-path"), false);
});

const THEN = "1970-01-01T00:00:00.000Z";
const DRIVER = { baud: 9600, rs485: null, refused: [], errors: { framing: 0, parity: 0, overrun: 0 } };
const FAILED = { words: "gone", atMs: 60_000 };

/** What differs from an open port at 9600 8N1, and the words. */
const TEXTS: readonly [Partial<SerialStatus>, ...string[]][] = [
  [{}, `meter /dev/nowhere0, 9600 8N1, open since ${THEN}`],
  [{ port: "usb 0403:6001" }, `meter usb 0403:6001 (/dev/nowhere0), 9600 8N1, open since ${THEN}`],
  [{ dataBits: 7, parity: "even", stopBits: 2 }, `meter /dev/nowhere0, 9600 7E2, open since ${THEN}`],
  [
    { flow: "rts-cts", heldBy: "CTS is off" },
    `meter /dev/nowhere0, 9600 8N1, flow rts-cts, open since ${THEN}, held up: CTS is off`,
  ],
  [{ rs485: "rts" }, `meter /dev/nowhere0, 9600 8N1, rs485 rts, open since ${THEN}`],
  [{ driver: DRIVER }, `meter /dev/nowhere0, 9600 8N1, open since ${THEN}`],
  [
    { rs485: "auto", driver: { ...DRIVER, rs485: "rts", refused: ["rs485: no (ENOTTY)"] } },
    `meter /dev/nowhere0, 9600 8N1, rs485 auto (rts), open since ${THEN}`,
    "not by the driver: rs485: no (ENOTTY)",
  ],
  [
    { baud: 12_345, driver: { ...DRIVER, errors: { framing: 3, parity: 0, overrun: 1, bufferOverrun: 2 } } },
    `meter /dev/nowhere0, 12345 (9600 set) 8N1, open since ${THEN}`,
    "on the wire: 3 framing, 1 overrun, 2 buffer overrun",
  ],
  [
    { opened: 3, bytesRead: 10, bytesWritten: 20, lastError: FAILED },
    `meter /dev/nowhere0, 9600 8N1, open since ${THEN}`,
    "10 bytes in, 20 out, opened 3 times",
    "away before: gone, at 1970-01-01T00:01:00.000Z",
  ],
  [{ open: false, device: null }, "meter /dev/nowhere0, 9600 8N1, not open yet"],
  [{ open: false, device: null, error: "gone" }, `meter /dev/nowhere0, 9600 8N1, away since ${THEN}: gone`],
  [{ port: "tcp://a:1", device: null }, `meter tcp://a:1, open since ${THEN}`],
  [{ port: "unix:/a", device: null, open: false, error: "x\n" }, `meter unix:/a, away since ${THEN}: x?`],
];

for (const [part, ...words] of TEXTS) {
  test(`a port stands so: ${words.join("; ")}`, () => assert.deepEqual(serialLines({ ...PORT, ...part }), words));
}
