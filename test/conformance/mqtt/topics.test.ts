// 4.7 Topics and filters.
import assert from "node:assert/strict";
import {
  field,
  PUBLISH,
  packet,
  properties,
  publish,
  readPublish,
  readSuback,
  SUBACK,
  SUBSCRIBE,
  subscribe,
  UNSUBSCRIBE,
  u16,
} from "../../support/mqtt-packets.ts";
import { assertEachCloses, forVersions, product, settled, unique, untilNow } from "./harness.ts";

const MALFORMED = 0x81;
const PROTOCOL_ERROR = 0x82;
const TOPIC_FILTER_INVALID = 0x8f;
const TOPIC_NAME_INVALID = 0x90;

const sluice = product({ limits: { topic_bytes: 65_535, topic_levels: 200, max_packet_bytes: "256KiB" } });

forVersions({ 4: ["4.7.1-1"], 5: ["4.7.0-1"] }, "a wildcard in a topic name closes", async (version, t) => {
  const topics = ["#", "+", "a/#", "a/+/b", "a+b", "a#"];
  const wrong = topics.map((topic) => publish(version, { topic }));
  await assertEachCloses(sluice, t, version, TOPIC_NAME_INVALID, wrong);
});

for (const [ids, what, filters] of [
  [
    { 4: ["4.7.1-2"], 5: ["4.7.1-1"] },
    "# not alone on the last level",
    ["a#", "#a", "a/#/b", "#/", "#/a", "##", "a/b#"],
  ],
  [{ 4: ["4.7.1-3"], 5: ["4.7.1-2"] }, "+ beside other characters", ["a+", "+a", "a/+b", "a/b+/c", "++", "+#"]],
] as const) {
  forVersions(ids, `${what} closes`, async (version, t) => {
    const wrong = filters.flatMap((filter) => [
      subscribe(version, 1, [filter, 0]),
      packet(UNSUBSCRIBE, 2, u16(1), properties(version), field(filter)),
    ]);
    await assertEachCloses(sluice, t, version, TOPIC_FILTER_INVALID, wrong);
  });
}

/** Below a topic of the test's own: which of `topics` a filter matches. */
const TOPICS = ["", "/", "/finance", "a", "a/b", "a/b/c", "a//c", "A", "a/", "a/$x", "b/b"];
const MATCHES: Readonly<Record<string, readonly string[]>> = {
  "#": ["", "/", "/finance", "a", "a/b", "a/b/c", "a//c", "A", "a/", "a/$x", "b/b"],
  "+": ["", "a", "A"],
  "+/+": ["/", "/finance", "a/b", "a/", "a/$x", "b/b"],
  "/+": ["/", "/finance"],
  "a/#": ["a", "a/b", "a/b/c", "a//c", "a/", "a/$x"],
  "a/+": ["a/b", "a/", "a/$x"],
  "a/+/c": ["a/b/c", "a//c"],
  "+/b/#": ["a/b", "a/b/c", "b/b"],
  "+/+/+": ["a/b/c", "a//c"],
  "a/b": ["a/b"],
  "a//c": ["a//c"],
  a: ["a"],
  A: ["A"],
  "": [""],
};

forVersions(
  { 4: ["4.7.1-2", "4.7.1-3"], 5: ["4.7.1-1", "4.7.1-2"] },
  "# stands for any levels with their parent, + for one level, an empty one too",
  async (version, t) => {
    const base = unique("match");
    for (const [filter, matches] of Object.entries(MATCHES)) {
      const client = await sluice.connected(t, version);
      await client.subscribe(version, `${base}/${filter}`, 0);
      for (const topic of TOPICS) client.send(publish(version, { topic: `${base}/${topic}` }));
      const came = (await untilNow(client)).map((packet) => readPublish(version, packet).topic.slice(base.length + 1));
      assert.deepEqual(came, matches, filter);
    }
    const parent = await sluice.connected(t, version);
    await parent.subscribe(version, `${base}/#`, 0);
    parent.send(publish(version, { topic: base }));
    assert.equal((await untilNow(parent)).length, 1);
  },
);

forVersions(
  { 4: ["4.7.2-1"], 5: ["4.7.2-1"] },
  "a filter that begins with a wildcard sees no topic that begins with $",
  async (version, t) => {
    const own = `$${unique("own")}`;
    const client = await sluice.connected(t, version);
    for (const filter of ["#", "+/status", "+", "+/#"]) await client.subscribe(version, filter, 0);
    const named = await sluice.connected(t, version);
    await named.subscribe(version, `${own}/#`, 0);
    for (const topic of [`${own}/status`, own, "$SYS/status"]) client.send(publish(version, { topic }));
    await settled(client);
    assert.deepEqual(
      (await untilNow(named)).map((packet) => readPublish(version, packet).topic),
      [`${own}/status`, own],
    );
    assert.deepEqual(await untilNow(client), []);
  },
);

forVersions({ 4: ["4.7.2-1"], 5: ["4.7.2-1"] }, "nor does it see a retained one", async (version, t) => {
  const own = `$${unique("own")}`;
  const client = await sluice.connected(t, version);
  client.send(publish(version, { topic: `${own}/kept`, payload: "x", retain: true }));
  await settled(client);
  for (const filter of ["#", "+/kept", "+/#"]) await client.subscribe(version, filter, 0);
  assert.deepEqual(await untilNow(client), []);
  await client.subscribe(version, `${own}/+`, 0);
  assert.equal((await untilNow(client)).length, 1);
  client.send(publish(version, { topic: `${own}/kept`, retain: true }));
  await settled(client);
});

forVersions({ 4: ["4.7.3-1"], 5: ["4.7.3-1"] }, "an empty topic or filter closes", async (version, t) => {
  // In 5.0 an empty topic name without an alias is a Protocol Error (section 3.3.2.1).
  const reason = version === 4 ? TOPIC_NAME_INVALID : PROTOCOL_ERROR;
  await assertEachCloses(sluice, t, version, reason, [publish(version, { topic: "" })]);
  await assertEachCloses(sluice, t, version, TOPIC_FILTER_INVALID, [
    subscribe(version, 1, ["", 0]),
    packet(UNSUBSCRIBE, 2, u16(1), properties(version), field("")),
  ]);
});

forVersions({ 4: ["4.7.3-2"], 5: ["4.7.3-2"] }, "U+0000 in a topic or filter closes", async (version, t) => {
  const wrong = ["\0", "a\0", "a/\0/b"].flatMap((text) => [
    packet(PUBLISH, 0, field(text), properties(version)),
    packet(SUBSCRIBE, 2, u16(1), properties(version), field(text), 0),
    packet(UNSUBSCRIBE, 2, u16(1), properties(version), field(text)),
  ]);
  await assertEachCloses(sluice, t, version, MALFORMED, wrong);
});

forVersions({ 4: ["4.7.3-3"], 5: ["4.7.3-3"] }, "a topic of 65,535 bytes is taken whole", async (version, t) => {
  const base = `${unique("long")}/${"é".repeat(30_000)}`;
  const longest = base + "x".repeat(65_535 - Buffer.byteLength(base));
  const client = await sluice.connected(t, version);
  client.send(subscribe(version, 1, [longest, 1]));
  const suback = await client.next();
  assert.deepEqual([suback.type, readSuback(version, suback)], [SUBACK, [1]]);
  client.send(publish(version, { topic: longest, payload: "end" }));
  const [message] = await untilNow(client);
  assert.ok(message);
  assert.equal(readPublish(version, message).topic === longest, true);
});

forVersions(
  { 4: ["4.7.3-4"], 5: ["4.7.3-4"] },
  "matching changes nothing: case, composed characters, slashes, spaces and unknown characters stay as they are",
  async (version, t) => {
    const base = unique("same");
    const texts = [
      "é",
      "e\u0301",
      "E\u0301",
      "\uFB01",
      "fi",
      "a",
      "A",
      " a",
      "a ",
      "a/",
      "/a",
      "//a",
      "a//",
      "\u{10FFFD}",
      "ſ",
      "ß",
      "SS",
    ];
    const client = await sluice.connected(t, version);
    for (const text of texts) {
      const one = await sluice.connected(t, version);
      await one.subscribe(version, `${base}/${text}`, 0);
      for (const other of texts) client.send(publish(version, { topic: `${base}/${other}`, payload: other }));
      await settled(client);
      const came = (await untilNow(one)).map((packet) => readPublish(version, packet));
      assert.deepEqual(
        came.map(({ topic, payload }) => [topic, payload]),
        [[`${base}/${text}`, text]],
      );
      one.socket.destroy();
    }
  },
);
