import assert from "node:assert/strict";
import { test } from "node:test";
import { lineOf, listed } from "../../../src/cli/serial-list.ts";
import { type SerialStatus, serialText } from "../../../src/cli/serial-text.ts";

const PORT: SerialStatus = {
  name: "meter",
  port: "/dev/nowhere0",
  device: "/dev/nowhere0",
  open: true,
  error: null,
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
  usb: { vendor: "0403", product: "6001", serial: "A10K", interface: 0, words: "FT232R\x1b[31m" },
  driver: "ftdi_sio",
};

test("a device in the list says what it is, and who has it open", () => {
  const usb = "0403:6001 serial A10K interface 0 (FT232R?[31m)";
  assert.deepEqual(listed([ADAPTER], [PORT]).map(lineOf), [
    `/dev/nowhere0  ${usb}  ftdi_sio  open as meter  /dev/serial/by-id/usb-A`,
  ]);
  const bare = { path: "/dev/ttyS0", byId: null, usb: null, driver: "serial8250" };
  assert.deepEqual(listed([bare], [PORT]).map(lineOf), [
    "/dev/ttyS0  serial8250",
    "/dev/nowhere0  open as meter", // a pseudo terminal
  ]);
  assert.equal(listed([ADAPTER], [{ ...PORT, open: false }])[0]?.openAs, null);
  assert.deepEqual(listed([], [{ ...PORT, port: "tcp://a:1", device: null }]), []);
});

/** What differs from an open port at 9600 8N1, and the words. */
const TEXTS: readonly [Partial<SerialStatus>, string][] = [
  [{}, "meter /dev/nowhere0, 9600 8N1, open"],
  [{ port: "usb 0403:6001" }, "meter usb 0403:6001 (/dev/nowhere0), 9600 8N1, open"],
  [{ dataBits: 7, parity: "even", stopBits: 2 }, "meter /dev/nowhere0, 9600 7E2, open"],
  [{ flow: "rts-cts" }, "meter /dev/nowhere0, 9600 8N1, flow rts-cts, open"],
  [{ rs485: "rts" }, "meter /dev/nowhere0, 9600 8N1, rs485 rts, open"],
  [{ open: false, device: null }, "meter /dev/nowhere0, 9600 8N1, not open yet"],
  [{ open: false, device: null, error: "gone" }, "meter /dev/nowhere0, 9600 8N1, away: gone"],
  [{ port: "tcp://a:1", device: null }, "meter tcp://a:1, open"],
  [{ port: "unix:/a", device: null, open: false, error: "x\n" }, "meter unix:/a, away: x?"],
];

for (const [part, words] of TEXTS) {
  test(`a port stands so: ${words}`, () => assert.equal(serialText({ ...PORT, ...part }), words));
}
