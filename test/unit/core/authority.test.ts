import assert from "node:assert/strict";
import test from "node:test";
import { Counters } from "../../../src/base/counters.ts";
import { budget, FileAuthority } from "../../../src/core/authority.ts";
import { passwordLine } from "../../../src/core/password-file.ts";
import type { LoginRequest, LoginWaiter, Principal } from "../../../src/core/ports.ts";
import { BAD_USER_NAME_OR_PASSWORD, NOT_AUTHORIZED, SERVER_BUSY, SUCCESS } from "../../../src/wire/mqtt/codes.ts";

const SECRET = Buffer.from("secret");
const WRONG = Buffer.from("wrong");
const ALICE = await passwordLine("alice", SECRET, 100);
const BOB =
  "bob:$6$5PUhnkT05OgOD3mT$YPk0e3OgA+vWWmJBTkvVDYFjaCqco9Z8msOpEexHLQq06KVI0OjA0o23gSkJG9ZI2RSI63PlsNt9F67i6JqEBg==";

interface Given {
  anonymous?: "never" | "loopback" | "always";
  passwords?: string;
  acl?: string;
}

function authorityWith(given: Given): { authority: FileAuthority; counters: Counters } {
  const counters = new Counters();
  const authority = new FileAuthority(counters);
  assert.deepEqual(authority.reload(filesOf(given)), []);
  return { authority, counters };
}

function filesOf({ anonymous = "loopback", passwords, acl }: Given) {
  return {
    anonymous,
    passwords: passwords === undefined ? null : { text: passwords, file: "passwd" },
    acl: acl === undefined ? null : { text: acl, file: "acl" },
  };
}

const NOBODY: LoginRequest = {
  clientId: "c1",
  userName: null,
  password: null,
  certificateName: null,
  loopback: true,
  anonymous: null,
};

/** What the waiter was told, and whether within the call. */
function login(authority: FileAuthority, request: Partial<LoginRequest>) {
  let inCall = true;
  return new Promise<{ principal: Principal | null; reason: number; inCall: boolean }>((resolve) => {
    const waiter: LoginWaiter = { onLogin: (principal, reason) => resolve({ principal, reason, inCall }) };
    authority.authenticate({ ...NOBODY, ...request }, waiter);
    inCall = false;
  });
}

const granted = (name: string) => ({ name, clientId: "c1" });

/** [title, files, request, name or reason] */
const LOGINS: [string, Given, Partial<LoginRequest>, string | number][] = [
  ["anonymous on loopback", {}, {}, ""],
  ["anonymous from afar", {}, { loopback: false }, NOT_AUTHORIZED],
  ["anonymous: never", { anonymous: "never" }, {}, NOT_AUTHORIZED],
  ["anonymous: always", { anonymous: "always" }, { loopback: false }, ""],
  ["the listener says never", { anonymous: "always" }, { anonymous: "never" }, NOT_AUTHORIZED],
  ["the listener says always", { anonymous: "never" }, { anonymous: "always", loopback: false }, ""],
  ["an empty user name is none", {}, { userName: "" }, ""],
  ["an empty user name with an empty password is none", {}, { userName: "", password: Buffer.alloc(0) }, ""],
  ["a password without a user name", {}, { password: SECRET }, BAD_USER_NAME_OR_PASSWORD],
  ["a user name counts for nothing without a password file", {}, { userName: "alice", password: SECRET }, ""],
  [
    "a user name does not get in where nobody can be verified",
    { anonymous: "never" },
    { userName: "alice", password: SECRET },
    BAD_USER_NAME_OR_PASSWORD,
  ],
  ["$7$", { passwords: ALICE }, { userName: "alice", password: SECRET }, "alice"],
  ["$6$", { passwords: BOB }, { userName: "bob", password: SECRET }, "bob"],
  ["$6$ beside $7$", { passwords: `${ALICE}\n${BOB}` }, { userName: "bob", password: SECRET }, "bob"],
  ["wrong password", { passwords: ALICE }, { userName: "alice", password: WRONG }, BAD_USER_NAME_OR_PASSWORD],
  ["unknown user", { passwords: ALICE }, { userName: "eve", password: SECRET }, BAD_USER_NAME_OR_PASSWORD],
  [
    "an unknown user is not let in as anonymous",
    { passwords: ALICE, anonymous: "always" },
    { userName: "eve", password: SECRET },
    BAD_USER_NAME_OR_PASSWORD,
  ],
  ["no password", { passwords: ALICE }, { userName: "alice" }, BAD_USER_NAME_OR_PASSWORD],
  ["a user of an empty file", { passwords: "" }, { userName: "alice", password: SECRET }, BAD_USER_NAME_OR_PASSWORD],
  ["anonymous beside a password file", { passwords: ALICE }, {}, ""],
  [
    "a huge password",
    { passwords: ALICE },
    { userName: "alice", password: Buffer.alloc(1025) },
    BAD_USER_NAME_OR_PASSWORD,
  ],
  ["a certificate", { anonymous: "never" }, { certificateName: "gw", loopback: false }, "gw"],
  ["a certificate wins over a user name", { passwords: ALICE }, { certificateName: "gw", userName: "alice" }, "gw"],
  ["a certificate without a name is none", { anonymous: "never" }, { certificateName: "" }, NOT_AUTHORIZED],
  ["a certificate for a serial port's name", {}, { certificateName: "serial:meter" }, NOT_AUTHORIZED],
];

for (const [title, files, request, expected] of LOGINS) {
  test(`login: ${title}`, async () => {
    const { principal, reason } = await login(authorityWith(files).authority, request);
    if (typeof expected === "string") assert.deepEqual([principal, reason], [granted(expected), SUCCESS]);
    else assert.deepEqual([principal, reason], [null, expected]);
  });
}

test("a login that needs no hashing is answered within the call, a remembered one too", async () => {
  const { authority, counters } = authorityWith({ passwords: ALICE });
  assert.equal((await login(authority, {})).inCall, true);
  assert.equal((await login(authority, { userName: "alice", password: SECRET })).inCall, false);
  const again = await login(authority, { userName: "alice", password: SECRET });
  assert.deepEqual(again, { principal: granted("alice"), reason: SUCCESS, inCall: true });
  assert.equal(counters.get("auth.hashes"), 1);
  assert.equal((await login(authority, { userName: "alice", password: WRONG })).principal, null);
  assert.deepEqual([counters.get("auth.granted"), counters.get("auth.refused")], [3, 1]);
});

test("a login that costs is admitted first: refused as busy when it is not, and never asked for what was verified", async () => {
  const { authority, counters } = authorityWith({ passwords: ALICE });
  let asked = 0;
  const turn = (admitted: boolean) => ({
    userName: "alice",
    password: SECRET,
    admit: (): boolean => {
      asked++;
      return admitted;
    },
  });
  assert.deepEqual(await login(authority, turn(false)), { principal: null, reason: SERVER_BUSY, inCall: true });
  assert.equal(counters.get("auth.hashes"), 0);
  assert.equal(counters.get("auth.busy"), 1);
  assert.deepEqual((await login(authority, turn(true))).principal, granted("alice"));
  assert.deepEqual((await login(authority, turn(false))).principal, granted("alice"), "verified before");
  assert.equal(asked, 2);
  assert.equal((await login(authority, { ...turn(false), password: WRONG })).reason, SERVER_BUSY);
});

test("an unknown user costs the hashes that a known one costs", async () => {
  const { authority, counters } = authorityWith({ passwords: `${ALICE}\n${BOB}` });
  for (const [i, userName] of ["alice", "bob", "eve"].entries()) {
    await login(authority, { userName, password: WRONG });
    assert.equal(counters.get("auth.hashes"), i + 1, userName);
  }
});

test("a changed password holds at once, remembered logins included", async () => {
  const { authority } = authorityWith({ passwords: ALICE });
  await login(authority, { userName: "alice", password: SECRET });
  const changed = await passwordLine("alice", WRONG, 100);
  const before = authority.generation;
  const running = login(authority, { userName: "alice", password: WRONG });
  authority.reload(filesOf({ passwords: changed }));
  assert.notEqual(authority.generation, before);
  assert.deepEqual((await running).principal, granted("alice"), "one that was under way is judged by the new file");
  assert.equal((await login(authority, { userName: "alice", password: SECRET })).principal, null);
});

test("one hash at a time; 128 wait; the next is told to come again later", async () => {
  const { authority, counters } = authorityWith({ passwords: ALICE });
  const logins = Array.from({ length: 132 }, () => login(authority, { userName: "alice", password: WRONG }));
  const reasons = (await Promise.all(logins)).map(({ reason }) => reason);
  assert.equal(reasons.filter((reason) => reason === SERVER_BUSY).length, 3);
  assert.equal(reasons.filter((reason) => reason === BAD_USER_NAME_OR_PASSWORD).length, 129);
  assert.equal(counters.get("auth.busy"), 3);
});

test("bad files change nothing and are complained about together", async () => {
  const { authority } = authorityWith({ passwords: ALICE, acl: "user alice\ntopic a" });
  const generation = authority.generation;
  const complaints = authority.reload(filesOf({ anonymous: "always", passwords: "alice:secret", acl: "topik a" }));
  assert.deepEqual(
    complaints.map(({ file, line }) => [file, line]),
    [
      ["passwd", 1],
      ["acl", 1],
    ],
  );
  assert.equal(authority.generation, generation);
  assert.equal((await login(authority, { loopback: false })).principal, null);
  assert.deepEqual((await login(authority, { userName: "alice", password: SECRET })).principal, granted("alice"));
  assert.equal(authority.mayPublish(granted("alice"), "a"), true);
});

test("without an ACL everybody may all; with an empty one nobody may anything", () => {
  const { authority } = authorityWith({});
  assert.equal(authority.open, true);
  assert.equal(authority.mayPublish(granted("x"), "a"), true);
  authority.reload(filesOf({ acl: "" }));
  assert.equal(authority.open, false);
  assert.equal(authority.mayPublish(granted("x"), "a"), false);
  assert.equal(authority.mayRead(granted(""), "a"), false);
});

test("a filter without wildcards is checked like a read, one with wildcards at delivery", () => {
  const { authority } = authorityWith({ acl: "user alice\ntopic read a/b\ntopic write w" });
  const alice = granted("alice");
  assert.equal(authority.maySubscribe(alice, "a/b"), true);
  assert.equal(authority.maySubscribe(alice, "a/c"), false);
  assert.equal(authority.maySubscribe(alice, "w"), false);
  assert.equal(authority.maySubscribe(alice, "#"), true);
  assert.equal(authority.mayRead(alice, "a/c"), false);
});

test("cached decisions are those of the rules, for more topics and names than the cache holds", () => {
  const acl = "user u1\ntopic read t/+/1\npattern write t/%c/#\npattern t/x/%u";
  const { authority, counters } = authorityWith({ acl });
  const fresh = (): FileAuthority => authorityWith({ acl }).authority;
  let checks = 0;
  let denied = 0;
  for (let round = 0; round < 2; round++) {
    for (let n = 0; n < 40; n++) {
      for (let i = 0; i < 100; i++) {
        const principal = { name: `u${n % 4}`, clientId: `c${n}` };
        const topic = i % 2 === 0 ? `t/c${i}/${i % 3}` : `t/x/u${i % 5}`;
        const may = authority.mayPublish(principal, topic);
        if (!may) denied++;
        if (checks++ % 37 === 0)
          assert.equal(may, fresh().mayPublish(principal, topic), `${principal.clientId} ${topic}`);
      }
    }
  }
  assert.equal(counters.get("auth.denied"), denied);
});

test("a long topic is decided and not cached", () => {
  const { authority } = authorityWith({ acl: "topic read a/#" });
  const topic = `a/${"x".repeat(60_000)}`;
  assert.equal(authority.mayRead(granted(""), topic), true);
  assert.equal(authority.mayPublish(granted(""), topic), false);
});

test("the bill has a line for users and one for rules, as far as there are files", () => {
  assert.deepEqual(budget(null, null), []);
  const [none, some] = [budget(0, 0), budget(2, 1)].map((lines) => lines.map(({ bytes }) => bytes));
  assert.deepEqual(some, [(none?.[0] ?? 0) + 2 * 512, (none?.[1] ?? 0) + 384]);
});
