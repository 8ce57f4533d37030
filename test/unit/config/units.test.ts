import assert from "node:assert/strict";
import test from "node:test";
import { parseBind } from "../../../src/config/bind.ts";
import { budgetTable, fits, totalBytes } from "../../../src/config/budget.ts";
import { distance, nearest } from "../../../src/config/nearest.ts";
import { filterProblem, templateProblem } from "../../../src/config/topics.ts";
import { bytesText, durationText, parseBytes, parseDuration } from "../../../src/config/units.ts";

const SIZES: [string, number | null][] = [
  ["0", 0],
  ["1024", 1024],
  ["1B", 1],
  ["64KiB", 65_536],
  ["64KB", 64_000],
  ["0.5MiB", 524_288],
  ["16 MiB", 16_777_216],
  ["2GiB", 2_147_483_648],
  ["30TB", 30e12],
  ["1TiB", 2 ** 40],
  ["0.3B", null],
  ["1kib", null],
  ["MiB", null],
  ["", null],
  ["-1MiB", null],
  ["1e3", null],
  ["9007199254740993", null],
  ["99999999TiB", null],
  ["1 2MiB", null],
  ["1constructor", null],
];

test("sizes", () => {
  for (const [text, bytes] of SIZES) assert.equal(parseBytes(text), bytes, text);
});

const DURATIONS: [string, number | null][] = [
  ["0", 0],
  ["0ms", 0],
  ["250ms", 250],
  ["2s", 2000],
  ["1.5s", 1500],
  ["5m", 300_000],
  ["12h", 43_200_000],
  ["7d", 604_800_000],
  ["1", null],
  ["1w", null],
  ["1S", null],
  ["0.5ms", null],
  ["s", null],
];

test("durations", () => {
  for (const [text, ms] of DURATIONS) assert.equal(parseDuration(text), ms, text);
});

test("sizes and durations as text", () => {
  assert.deepEqual([1, 1024, 1536, 2 ** 20, 2 ** 30, 2 ** 40].map(bytesText), [
    "1 B",
    "1 KiB",
    "1.5 KiB",
    "1 MiB",
    "1 GiB",
    "1 TiB",
  ]);
  assert.deepEqual([0, 20, 1000, 90_000, 3_600_000, 604_800_000].map(durationText), [
    "0ms",
    "20ms",
    "1s",
    "90s",
    "1h",
    "7d",
  ]);
});

test("addresses", () => {
  assert.deepEqual(parseBind("0.0.0.0:8883"), { host: "0.0.0.0", port: 8883, unix: null });
  assert.deepEqual(parseBind("[::]:1883"), { host: "::", port: 1883, unix: null });
  assert.deepEqual(parseBind("[FD53:0db1:63:0::1]:1883"), { host: "fd53:db1:63::1", port: 1883, unix: null });
  assert.deepEqual(parseBind("[fe80:0::01%eth0]:1883"), { host: "fe80::1%eth0", port: 1883, unix: null });
  assert.deepEqual(parseBind("gateway.local:0"), { host: "gateway.local", port: 0, unix: null });
  assert.deepEqual(parseBind("unix:/run/sluice.sock"), { host: "", port: 0, unix: "/run/sluice.sock" });
});

test("the nearest word counts swapped letters as one mistake", () => {
  assert.equal(distance("tls", "tsl"), 1);
  assert.equal(distance("", "abc"), 3);
  assert.equal(distance("kitten", "sitting"), 3);
  assert.equal(nearest("lsiteners", ["limits", "listeners"]), "listeners");
  assert.equal(nearest("CERT", ["cert", "key"]), "cert");
  assert.equal(nearest("foo", ["cert", "key"]), null);
  assert.equal(nearest("x".repeat(100_000), ["cert"]), null);
});

test("filters and templates", () => {
  for (const filter of ["#", "+", "a/+/b", "+/#", "/", "$SYS/#", "a//b"])
    assert.equal(filterProblem(filter), null, filter);
  for (const filter of ["", "a#", "#/a", "a/b+", "a\0"]) assert.notEqual(filterProblem(filter), null, filter);
  for (const [to, filter] of [
    ["{topic}", "a"],
    ["site/{rest}", "a/#"],
    ["{2}/{1}", "+/+"],
    ["x", "a"],
  ] as const) {
    assert.equal(templateProblem(to, filter), null, to);
  }
});

test("the memory bill adds up and says whether it fits", () => {
  const lines = [
    { owner: "store: cache", bytes: 2 ** 20, how: "1 MiB" },
    { owner: "mqtt", bytes: 2 ** 21, how: "1024 connections x 2 KiB" },
  ];
  assert.equal(totalBytes(lines), 3 * 2 ** 20);
  assert.equal(fits(lines, 3 * 2 ** 20), true);
  assert.equal(fits(lines, 3 * 2 ** 20 - 1), false);
  assert.equal(
    budgetTable(lines, 4 * 2 ** 20),
    [
      "store: cache  1 MiB  1 MiB",
      "mqtt          2 MiB  1024 connections x 2 KiB",
      "total         3 MiB  fits in memory_limit 4 MiB",
    ].join("\n"),
  );
});

test("the memory bill names what is besides memory_limit apart from the sum", () => {
  const lines = [
    { owner: "dtls", bytes: 2 ** 24, how: "256 sessions x 64 KiB", outside: true },
    { owner: "mqtt", bytes: 2 ** 21, how: "all" },
  ];
  assert.equal(totalBytes(lines), 2 ** 21);
  assert.ok(fits(lines, 2 ** 21));
  assert.equal(
    budgetTable(lines, 2 ** 21),
    [
      "mqtt    2 MiB  all",
      "total   2 MiB  fits in memory_limit 2 MiB",
      "dtls   16 MiB  256 sessions x 64 KiB, besides memory_limit",
    ].join("\n"),
  );
});
