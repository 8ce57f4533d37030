import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "../../../src/config/load.ts";
import type { SerialConfig } from "../../../src/config/serial.ts";
import type { MatchedPlace } from "../../../src/config/serial-port.ts";

function lineOf(yaml: string): SerialConfig {
  const { config, complaints } = load(`serial: [${yaml}]`, { directory: "/etc/sluice", checkFiles: false });
  assert.deepEqual(complaints, []);
  return config?.serial[0] as SerialConfig;
}

const ANY: MatchedPlace = { kind: "match", vendor: null, product: null, serial: null, interface: null };

/** What is written, its place, and the name and the words that follow from it. */
const PLACES: readonly [string, SerialConfig["place"], string, string][] = [
  ["{port: /dev/ttyS0}", { kind: "device", path: "/dev/ttyS0" }, "ttyS0", "/dev/ttyS0"],
  [
    "{port: 'tcp://10.0.0.7:2001'}",
    { kind: "tcp", host: "10.0.0.7", port: 2001 },
    "10.0.0.7:2001",
    "tcp://10.0.0.7:2001",
  ],
  ["{port: 'tcp://[::1]:2001'}", { kind: "tcp", host: "::1", port: 2001 }, "-::1-:2001", "tcp://[::1]:2001"],
  ["{port: 'unix:/run/a.sock'}", { kind: "unix", path: "/run/a.sock" }, "a.sock", "unix:/run/a.sock"],
  ["{match: {vendor: 0403, product: 6001}}", { ...ANY, vendor: "0403", product: "6001" }, "usb-0403", "usb 0403:6001"],
  ["{match: {vendor: 12D1}}", { ...ANY, vendor: "12d1" }, "usb-12d1", "usb 12d1:*"],
  ["{match: {serial: 00123}}", { ...ANY, serial: "00123" }, "00123", "usb *:* serial 00123"],
  ["{match: {interface: 1}}", { ...ANY, interface: 1 }, "serial", "usb *:* interface 1"],
];

for (const [yaml, place, name, words] of PLACES) {
  test(`${yaml} is ${words}`, () => {
    const line = lineOf(yaml);
    assert.deepEqual(line.place, place);
    assert.deepEqual([line.name, line.port], [name, words]);
  });
}

test("RS-485 by a word, or with its details", () => {
  assert.deepEqual(lineOf("{port: /dev/a, rs485: driver}").rs485, "driver");
  const { rs485, rs485Line } = lineOf(
    "{port: /dev/a, rs485: {rts_on_send: false, delay_before: 2ms, delay_after: 100ms, rx_during_tx: true, terminate: true}}",
  );
  assert.equal(rs485, "auto");
  const details = { rtsOnSend: false, delayBeforeMs: 2, delayAfterMs: 100, rxDuringTx: true, terminate: true };
  assert.deepEqual(rs485Line, details);
});

test("stick parity, and one and a half stop bits", () => {
  const { parity, dataBits, stopBits, lowLatency } = lineOf(
    "{port: /dev/a, parity: space, data_bits: 5, stop_bits: 1.5, low_latency: true}",
  );
  assert.deepEqual([parity, dataBits, stopBits, lowLatency], ["space", 5, 1.5, true]);
});

test("the line's settings", () => {
  const { baud, dataBits, parity, stopBits, flow, rs485 } = lineOf(
    "{port: /dev/a, baud: 9600, data_bits: 7, parity: even, stop_bits: 2, flow: xon-xoff, rs485: rts}",
  );
  assert.deepEqual([baud, dataBits, parity, stopBits, flow, rs485], [9600, 7, "even", 2, "xon-xoff", "rts"]);
});
