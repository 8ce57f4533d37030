// Random requests with every option there is, in every method, from proven and unproven addresses: whatever comes back
// keeps the rules of sent-rules.ts, and every CON gets an answer under its Message ID.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Random, seededRandom } from "../../../src/base/random.ts";
import { blockValue, type Fields, type Message, message, NON, Option, type OptionField, RST, uri } from "./bytes.ts";
import { HandEndpoint } from "./hand-endpoint.ts";
import { holdToRules, product } from "./harness.ts";

const gateway = product({ limits: { max_packet_bytes: 8192 } });

const long = process.env["SLUICE_LONG"];
const ROUNDS = long === undefined ? 40 : 2_000;
const SEED = Number(long ?? 7);
/** Requests at a time: no more than a socket's buffer takes. */
const BATCH = 24;

const PATHS = [
  "/ps/a",
  "/ps/b/c",
  "/ps/large",
  "/ps",
  "/ps/%2B",
  "/ps/b/%23",
  "/ps/x/./..",
  "/mqtt/publish/a",
  "/mqtt/connection",
  "/health",
  "/.well-known/core",
  "/nowhere",
  "/",
];
const QUERIES = [
  "",
  "?retain=true",
  "?qos=0",
  "?qos=1&retain=true",
  "?qos=9",
  "?clientid=a",
  "?clientid=a&token=b",
  "?rt=*",
];

function requestFrom(random: Random): Fields {
  const below = (n: number) => Math.floor(random() * n);
  const one = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const bytes = (most: number) => Buffer.from(Array.from({ length: below(most + 1) }, () => below(256)));
  const options: OptionField[] = uri(one(PATHS) + one(QUERIES));
  const some: readonly (() => OptionField)[] = [
    () => [Option.IfMatch, bytes(8)],
    () => [Option.ETag, bytes(9)],
    () => [Option.IfNoneMatch, ""],
    () => [Option.Observe, one([0, 0, 1, 2])],
    () => [Option.ContentFormat, one([0, 0, 40, 50, 60, 65_000])],
    () => [Option.Accept, one([0, 40, 42, 50])],
    () => [Option.Block2, blockValue(one([0, 0, 0, 1, 2, 70_000]), below(2) === 1, below(8))],
    () => [Option.Block1, blockValue(one([0, 0, 1, 2, 70_000]), below(2) === 1, below(8))],
    () => [Option.Size1, one([0, 100, 1_000_000])],
    () => [Option.Size2, 0],
    () => [Option.Echo, bytes(41)],
    () => [Option.NoResponse, one([0, 2, 8, 26])],
    () => [Option.RequestTag, bytes(8)],
    () => [Option.MaxAge, below(100)],
    () => [Option.LocationPath, "a"],
    () => [one([128, 132]), "b"],
    () => [below(70) * 2 + 300, bytes(20)],
    () => [below(70) * 2 + 301, ""],
  ];
  for (let i = below(4); i > 0; i--) options.push(one(some)());
  return {
    type: one([0, NON]),
    code: one([1, 1, 1, 2, 3, 3, 4, 5, 6, 7, 9]),
    options,
    token: bytes(8),
    ...(below(2) === 1 ? { payload: Buffer.alloc(1 + below(64), "p") } : {}),
  };
}

test(`${ROUNDS * BATCH} random requests: every answer keeps the rules for what is sent, every CON has one`, async () => {
  const random = seededRandom(SEED);
  await gateway.retain("large", "v".repeat(3000), "text/plain");
  for (let round = 0; round < ROUNDS; round++) {
    using raw = await HandEndpoint.open(gateway.port);
    raw.check = holdToRules;
    if (round % 2 === 1) raw.pings = "ignore";
    const asked = new Map<number, Fields>();
    for (let i = 0; i < BATCH; i++) {
      const fields = requestFrom(random);
      asked.set(raw.request(fields), fields);
    }
    const confirmable = [...asked].filter(([, { type }]) => type === 0).map(([id]) => id);
    const answered = new Set<number>();
    const take = ({ type, id, code }: Message) => {
      if (type === "ACK") answered.add(id);
      // Separate responses and notifications: this endpoint forgets at once what it asked for.
      if (type === "CON") raw.send(message({ type: RST, code: 0, id, token: "" }));
      assert.notEqual(code, "5.00");
    };
    while (confirmable.some((id) => !answered.has(id))) take(await raw.next());
    for (const read of await raw.untilNow()) take(read);
  }
});
