import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decode } from "cborg";
import { encodeSenmlCbor } from "../../../../src/wire/senml/cbor.ts";
import { encodeSenmlJson } from "../../../../src/wire/senml/json.ts";
import { baseNameOf, senmlName } from "../../../../src/wire/senml/names.ts";
import { type PackRecord, packOf, type SenmlRecord } from "../../../../src/wire/senml/pack.ts";

const LABELS: Record<number, string> = {
  [-2]: "bn",
  [-3]: "bt",
  [-4]: "bu",
  0: "n",
  1: "u",
  2: "v",
  3: "vs",
  4: "vb",
  6: "t",
};

/** RFC 8428 section 4.6: each record with nothing left out. */
function resolve(pack: readonly PackRecord[]): SenmlRecord[] {
  let [bn, bt, bu] = ["", 0, ""];
  return pack.map((r) => {
    bn = r.bn ?? bn;
    bt = r.bt ?? bt;
    bu = r.bu ?? bu;
    const value = r.v ?? r.vs ?? r.vb;
    assert.notEqual(value, undefined);
    return { name: bn + (r.n ?? ""), unit: r.u ?? bu, timeSeconds: bt + (r.t ?? 0), value: value as number };
  });
}

function fromJson(bytes: Buffer): PackRecord[] {
  return JSON.parse(bytes.toString());
}

function fromCbor(bytes: Buffer): PackRecord[] {
  const pack = decode(bytes, { useMaps: true }) as Map<number, unknown>[];
  return pack.map((map) => Object.fromEntries([...map].map(([label, value]) => [LABELS[label], value])));
}

describe("RFC 8428's own examples", () => {
  test("section 5.1.1: a single data point", () => {
    const pack: PackRecord[] = [{ n: "urn:dev:ow:10e2073a01080063", u: "Cel", v: 23.1 }];
    assert.equal(encodeSenmlJson(pack).toString(), '[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]');
  });

  // Of the multiple data points of section 5.1.2, without the version, which a pack need not have.
  const POINTS: PackRecord[] = [
    { bn: "urn:dev:ow:10e2073a0108006:", bt: 1.276020076001e9, bu: "A", n: "voltage", u: "V", v: 120.1 },
    { n: "current", t: -5, v: 1.2 },
    { n: "current", t: -4, v: 1.3 },
    { n: "current", t: -3, v: 1.4 },
    { n: "current", t: -2, v: 1.5 },
    { n: "current", t: -1, v: 1.6 },
    { n: "current", v: 1.7 },
  ];

  test("section 6: the same in CBOR, byte for byte, but for the order of v and t", () => {
    const expected = [
      "87a6",
      "21781b75726e3a6465763a6f773a31306532303733613031303830303" + "63a",
      "22fb41d303a15b001062",
      "236141",
      "0067766f6c74616765",
      "016156",
      "02fb405e066666666666",
      ...[
        "24|fb3ff3333333333333",
        "23|fb3ff4cccccccccccd",
        "22|fb3ff6666666666666",
        "21|f93e00",
        "20|fb3ff999999999999a",
      ]
        .map((text) => text.split("|"))
        .map(([t, v]) => `a3006763757272656e7402${v}06${t}`),
      "a2006763757272656e7402fb3ffb333333333333",
    ].join("");
    assert.equal(encodeSenmlCbor(POINTS).toString("hex"), expected);
    assert.deepEqual(fromCbor(encodeSenmlCbor(POINTS)), POINTS);
  });

  test("section 4.6: resolved records come back from what packOf made of them", () => {
    const records = resolve(POINTS);
    assert.deepEqual(records[1], {
      name: "urn:dev:ow:10e2073a0108006:current",
      unit: "A",
      timeSeconds: 1276020071.001,
      value: 1.2,
    });
    for (const back of [fromJson(encodeSenmlJson(packOf(records))), fromCbor(encodeSenmlCbor(packOf(records)))]) {
      const times = resolve(back).map(({ timeSeconds }) => Math.round(timeSeconds * 1000));
      assert.deepEqual(
        times,
        records.map(({ timeSeconds }) => Math.round(timeSeconds * 1000)),
      );
      assert.deepEqual(
        resolve(back).map(({ timeSeconds: _, ...rest }) => rest),
        records.map(({ timeSeconds: _, ...rest }) => rest),
      );
    }
  });
});

describe("packOf", () => {
  const record = (name: string, timeSeconds: number, value: SenmlRecord["value"], unit = ""): SenmlRecord => ({
    name,
    unit,
    timeSeconds,
    value,
  });

  test("says once what all records share", () => {
    const pack = packOf([record("s/boiler", 1763740800, 21.5), record("s/boiler", 1763740801.5, 22)]);
    assert.deepEqual(pack, [
      { bn: "s/boiler", bt: 1763740800, v: 21.5 },
      { t: 1.5, v: 22 },
    ]);
    assert.deepEqual(packOf([record("a", 0, 1, "V"), record("b", 0, 2, "V")]), [
      { bu: "V", n: "a", v: 1 },
      { n: "b", v: 2 },
    ]);
    assert.deepEqual(
      packOf([record("a", 0, 1, "V"), record("b", 0, 2)]),
      [
        { n: "a", u: "V", v: 1 },
        { n: "b", v: 2 },
      ].map((r) => r),
    );
    assert.deepEqual(packOf([]), []);
  });

  test("section 4.5.3: times before now are negative, and the last may be now", () => {
    const pack = packOf([record("x", -2.5, 1), record("x", 0, 2)]);
    assert.deepEqual(pack, [
      { bn: "x", bt: -2.5, v: 1 },
      { t: 2.5, v: 2 },
    ]);
    assert.equal(resolve(pack)[1]?.timeSeconds, 0);
  });

  test("strings and booleans have labels of their own, and -0 is 0", () => {
    const pack = packOf([record("x/a", 0, "on"), record("x/b", 0, true), record("x/c", 0, -0)]);
    assert.equal(
      encodeSenmlJson(pack).toString(),
      '[{"bn":"x/","n":"a","vs":"on"},{"n":"b","vb":true},{"n":"c","v":0}]',
    );
    assert.equal(encodeSenmlCbor(pack).toString("hex"), "83a32162782f00616103626f6ea20061620" + "4f5a200616302" + "00");
  });
});

describe("names", () => {
  test("section 4.5.1: only the characters that a name may have, and it begins with a letter or digit", () => {
    assert.equal(senmlName("s/Boiler 1/\u00b0C"), "s/Boiler_1/_C");
    assert.equal(senmlName("/-.a"), "a");
    assert.equal(senmlName("a:b.c/d_e-f"), "a:b.c/d_e-f");
    assert.equal(senmlName("\u{1f321}x"), "x");
    assert.equal(senmlName("$"), "");
  });

  test("the base is what names have in common up to a / or :", () => {
    assert.equal(baseNameOf(["a/b/temp", "a/b/time"]), "a/b/");
    assert.equal(baseNameOf(["a/b:mean", "a/b:max"]), "a/b:");
    assert.equal(baseNameOf(["a/b", "a/b"]), "a/b");
    assert.equal(baseNameOf(["a/b", "a/b/c"]), "a/");
    assert.equal(baseNameOf(["alpha", "alps"]), "");
    assert.equal(baseNameOf([]), "");
  });
});
