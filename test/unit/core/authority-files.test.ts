import assert from "node:assert/strict";
import test from "node:test";
import type { Complaint } from "../../../src/config/complaint.ts";
import { parseAclFile, READ, WRITE } from "../../../src/core/acl-file.ts";
import {
  hashLike,
  ITERATIONS_MAX,
  parsePasswordFile,
  passwordLine,
  scramLine,
} from "../../../src/core/password-file.ts";

// Written by mosquitto_passwd 2.0.11, both for the password "secret".
const ALICE =
  "alice:$7$101$DxoP8JYqywFFK8md$CkLwNxWvk+/K/Nbx8szaprsJeJzJrEoaRWRf8ixHu8qCQ/qLE5sxX7l8QDBceHw6Tfz0h+d2FRJQK73c3V3k7g==";
const BOB =
  "bob:$6$5PUhnkT05OgOD3mT$YPk0e3OgA+vWWmJBTkvVDYFjaCqco9Z8msOpEexHLQq06KVI0OjA0o23gSkJG9ZI2RSI63PlsNt9F67i6JqEBg==";
const KEY = Buffer.alloc(32, 7).toString("base64");
const HASH = BOB.slice(BOB.lastIndexOf("$") + 1);

test("both forms of Mosquitto's hashes are verified", async () => {
  const complaints: Complaint[] = [];
  const users = parsePasswordFile(`# users\n\n${ALICE}\r\n${BOB}\n`, "passwd", complaints);
  assert.deepEqual(complaints, []);
  assert.deepEqual([...users.keys()], ["alice", "bob"]);
  for (const { password: record } of users.values()) {
    assert.ok(record !== null);
    assert.deepEqual(await hashLike(record, Buffer.from("secret")), record.hash);
    assert.notDeepEqual(await hashLike(record, Buffer.from("Secret")), record.hash);
  }
});

test("a line that we write is one that we read", async () => {
  const complaints: Complaint[] = [];
  const record = parsePasswordFile(await passwordLine("x y", Buffer.from("p")), "f", complaints).get("x y")?.password;
  assert.ok(record != null && complaints.length === 0);
  assert.equal(record.iterations, 1000);
  assert.deepEqual(await hashLike(record, Buffer.from("p")), record.hash);
});

test("a user has a line for the password, one for SCRAM, or one of each in either order; never two of a kind", () => {
  const scram = scramLine("alice", "secret");
  const bothKinds = (lines: string[]): [boolean, boolean][] => {
    const complaints: Complaint[] = [];
    const users = parsePasswordFile(lines.join("\n"), "passwd", complaints);
    assert.deepEqual(complaints, []);
    return [...users.values()].map((user) => [user.password !== null, user.scram !== null]);
  };
  assert.deepEqual(bothKinds([ALICE, scram, BOB]), [
    [true, true],
    [true, false],
  ]);
  assert.deepEqual(bothKinds([scram, BOB, ALICE]), [
    [true, true],
    [true, false],
  ]);
  assert.deepEqual(bothKinds([scram]), [[false, true]]);
  for (const [lines, line] of [
    [[ALICE, scram, scram], 3],
    [[scram, ALICE, ALICE], 3],
    [[scram, scram], 2],
  ] as const) {
    const complaints: Complaint[] = [];
    parsePasswordFile(lines.join("\n"), "passwd", complaints);
    assert.deepEqual(
      complaints.map((complaint) => [complaint.line, complaint.problem]),
      [[line, "alice is given twice"]],
    );
  }
});

const BAD_PASSWORD_LINES: [string, RegExp][] = [
  ["alice", /no colon/],
  ["alice:secret", /not hashed/],
  ["alice:", /not hashed/],
  [`:${BOB.slice(4)}`, /names no user/],
  ["alice:$argon2id$v=19$a$b", /kind \$argon2id\$, which is not supported/],
  [`${BOB}:`, /more than one colon/],
  ["alice:$6$AAAA", /no complete \$6\$ hash/],
  [`alice:$7$AAAA$${HASH}`, /no complete \$7\$ hash/],
  [`alice:$7$0$AAAA$${HASH}`, /iterations/],
  [`alice:$7$-1$AAAA$${HASH}`, /iterations/],
  [`alice:$7$${ITERATIONS_MAX + 1}$AAAA$${HASH}`, /iterations/],
  [`alice:$6$$${HASH}`, /salt/],
  [`alice:$6$A*A=$${HASH}`, /salt/],
  ["alice:$6$AAAA$AAAA", /64 bytes/],
  [`alice:$6$AAAA$${HASH.slice(0, -1)}`, /64 bytes/],
  [`alice:$scram-sha-256$4096$AAAA$${KEY}`, /no complete \$scram-sha-256\$ entry/],
  [`alice:$scram-sha-256$4095$AAAA$${KEY}$${KEY}`, /iterations that are no number from 4096/],
  [`alice:$scram-sha-256$4096$$${KEY}$${KEY}`, /salt/],
  [`alice:$scram-sha-256$4096$AAAA$AAAA$${KEY}`, /32 bytes/],
  [`alice:$scram-sha-256$4096$AAAA$${KEY}$${KEY.slice(0, -1)}`, /32 bytes/],
];

test("lines that are no user are complained about, each with its number; the others are read", () => {
  const text = [ALICE, ...BAD_PASSWORD_LINES.map(([line]) => line), BOB, ALICE].join("\n");
  const complaints: Complaint[] = [];
  const users = parsePasswordFile(text, "passwd", complaints);
  assert.deepEqual([...users.keys()], ["alice", "bob"]);
  assert.equal(complaints.length, BAD_PASSWORD_LINES.length + 1);
  for (const [i, [line, problem]] of BAD_PASSWORD_LINES.entries()) {
    assert.match(complaints[i]?.problem ?? "", problem, line);
    assert.equal(complaints[i]?.line, i + 2);
    assert.equal(complaints[i]?.file, "passwd");
    assert.doesNotMatch(complaints[i]?.problem ?? "", /secret/, "no complaint shows a password");
  }
  assert.match(complaints.at(-1)?.problem ?? "", /alice is given twice/);
});

test("what is no rule of an ACL is complained about with its number", () => {
  const text = `topic read a
usr alice
user
user
topic
topic raed a
topic read a/#/b
topic a b
pattern
pattern write +x
  topic read indented/is/fine
# comment
topic write b
`;
  const complaints: Complaint[] = [];
  const acl = parseAclFile(text, "acl", complaints);
  assert.deepEqual(
    complaints.map(({ line, problem }) => [line, problem]),
    [
      [2, '"usr" is no rule'],
      [3, "names no user"],
      [4, "names no user"],
      [5, "names no topic"],
      [6, '"raed" is no access'],
      [7, '"a/#/b" is no topic filter'],
      [8, '"a" is no access'],
      [9, "names no topic"],
      [10, '"+x" is no topic filter'],
    ],
  );
  assert.equal(acl.accessOf("", "c", "indented/is/fine"), READ);
  assert.equal(acl.accessOf("", "c", "b"), WRITE);
});

/** [rules, user ("" = anonymous), client id, topic, access] */
const ACCESS: [string, string, string, string, number][] = [
  ["user alice\ntopic deny a/secret\ntopic a/#", "alice", "c", "a/secret", 0],
  ["user alice\ntopic a/#\ntopic deny a/secret/#", "alice", "c", "a/secret/x", 0],
  ["user alice\ntopic a/#\npattern deny a/%u/#", "alice", "c", "a/alice/x", 0],
  ["pattern a/%u/#", "alice", "c", "a/alice", READ | WRITE],
  ["pattern a/%u/%c", "alice", "c1", "a/alice/c1", READ | WRITE],
  ["pattern a/x-%u-%c/b", "alice", "c1", "a/x-alice-c1/b", READ | WRITE],
  ["pattern a/%u", "", "c", "a/", 0],
  ["pattern a/%c", "alice", "", "a/", 0],
  // a name must not widen what a pattern grants
  ["pattern a/%u/#", "+", "c", "a/alice/x", 0],
  ["pattern a/%u", "#", "c", "a/alice", 0],
  ["pattern %c/#", "alice", "#", "b", 0],
  ["pattern a/%c/#", "alice", "a/b", "a/a/b/x", 0],
  ["pattern deny a/%c/#\npattern read a/#", "alice", "a/b", "a/a/b/x", 0],
  ["pattern deny a/%c/#\npattern read a/#", "alice", "a/b", "a/a/c", READ],
  ["pattern deny a/%u/#\npattern read a/#", "+", "c", "a/x", READ],
  ["pattern read b/#\npattern a/%u", "+", "c", "b/x", READ],
  ["pattern read %u/#", "$SYS", "c", "$SYS/uptime", 0],
  // inserted twice is inserted everywhere; a placeholder in a name is only text
  ["pattern %u/%u", "a", "c", "a/a", READ | WRITE],
  ["pattern x/%u", "%c", "c", "x/c", 0],
  ["pattern x/%u", "%c", "c", "x/%c", READ | WRITE],
  // names from the language itself are only names
  ["user __proto__\ntopic a", "__proto__", "c", "a", READ | WRITE],
  ["user a\ntopic a", "constructor", "c", "a", 0],
];

test("access", () => {
  for (const [text, user, clientId, topic, expected] of ACCESS) {
    const complaints: Complaint[] = [];
    const acl = parseAclFile(text, "acl", complaints);
    assert.deepEqual(complaints, []);
    assert.equal(acl.accessOf(user, clientId, topic), expected, `${text} for ${user}/${clientId}: ${topic}`);
  }
});
