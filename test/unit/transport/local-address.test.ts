import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { leavingFrom } from "../../../src/transport/local-address.ts";

const V4 = { address: "192.0.2.1", family: 4 };
const V6 = { address: "2001:db8::1", family: 6 };
const loopback = networkInterfaces()["lo"] ?? [];

test("without either, the system chooses", () => {
  assert.deepEqual(leavingFrom([V6, V4], null, null), { localAddress: null, addresses: [V6, V4] });
});

test("a bind address leaves the addresses of its family", () => {
  assert.deepEqual(leavingFrom([V6, V4], "10.0.0.1", null), { localAddress: "10.0.0.1", addresses: [V4] });
  assert.throws(() => leavingFrom([V4], "::1", null), { message: "no address that ::1 can reach" });
});

test("an interface's address is the one it has now, of a family that the server has", {
  skip: loopback.length === 0,
}, () => {
  assert.deepEqual(leavingFrom([V4], null, "lo"), { localAddress: "127.0.0.1", addresses: [V4] });
  const both = loopback.some(({ family }) => family === "IPv6");
  const of = (addresses: (typeof V4)[]): string | null => leavingFrom(addresses, null, "lo").localAddress;
  if (both) assert.deepEqual([of([V6, V4]), of([V4, V6])], ["::1", "127.0.0.1"]);
  else assert.equal(of([V6, V4]), "127.0.0.1");
});

test("an interface without an address is told in words", () => {
  assert.throws(() => leavingFrom([V4], null, "wwan17"), {
    message: "interface wwan17 has no address, is down or does not exist",
  });
});
