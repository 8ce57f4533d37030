/** Who asks, by what, from where, for which resource: 4.01 for who is not known, 4.03 for who may not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "../../../../src/base/counters.ts";
import type { AnonymousPolicy } from "../../../../src/config/listeners.ts";
import { FileAuthority } from "../../../../src/core/authority.ts";
import { passwordLine } from "../../../../src/core/password-file.ts";
import { responseOf } from "../../../support/coap-messages.ts";
import { eventually } from "../../../support/eventually.ts";
import { Harness } from "./harness.ts";

const ACL = `
topic readwrite open/#
user alice
topic readwrite alice/#
user valve
topic readwrite valve/#
topic read alice/#
pattern readwrite by-client/%c
`;
const PASSWORDS = await passwordLine("alice", Buffer.from("secret"), 10);

function authorityWith(anonymous: AnonymousPolicy): FileAuthority {
  const authority = new FileAuthority(new Counters());
  const files = { passwords: { text: PASSWORDS, file: "passwd" }, acl: { text: ACL, file: "acl" } };
  assert.deepEqual(authority.reload({ anonymous, ...files }), []);
  return authority;
}

interface Case {
  readonly who: string;
  readonly query?: string;
  readonly identity?: string;
  readonly address?: string;
  readonly anonymous: AnonymousPolicy;
  /** Codes by topic for GET, PUT, POST, DELETE of a topic that has a retained value, and POST under /mqtt/publish. */
  readonly own: string;
  readonly ownCodes: readonly string[];
  readonly foreign: string;
  readonly foreignCodes: readonly string[];
}

const GRANTED = ["2.05", "2.04", "2.04", "2.02", "2.04"];
const UNKNOWN = ["4.01", "4.01", "4.01", "4.01", "4.01"];
const FORBIDDEN = ["4.03", "4.03", "4.03", "4.03", "4.03"];
const READS = ["2.05", "4.03", "4.03", "4.03", "4.03"];
const REMOTE = "192.0.2.7";

const alice = { own: "alice/a", ownCodes: GRANTED, foreign: "open/a", foreignCodes: FORBIDDEN };
const nobody = { own: "open/a", ownCodes: GRANTED, foreign: "alice/a", foreignCodes: FORBIDDEN };
const refused = { own: "open/a", ownCodes: UNKNOWN, foreign: "alice/a", foreignCodes: UNKNOWN };
const valve = { own: "valve/a", ownCodes: GRANTED, foreign: "alice/a", foreignCodes: READS };

const CASES: readonly Case[] = [
  { who: "alice by password", query: "username=alice&password=secret", anonymous: "never", ...alice },
  { who: "alice by the short keys", query: "u=alice&p=secret", anonymous: "never", ...alice },
  {
    who: "alice by FluxMQ's keys",
    query: "client_id=x&username=alice&authorization=secret",
    anonymous: "never",
    ...alice,
  },
  { who: "alice with a wrong password", query: "u=alice&p=wrong", anonymous: "always", ...refused },
  { who: "alice without a password", query: "u=alice", anonymous: "always", ...refused },
  { who: "alice with an empty password", query: "u=alice&p=", anonymous: "always", ...refused },
  { who: "a user nobody knows", query: "u=bob&p=secret", anonymous: "always", ...refused },
  { who: "a password without a user", query: "p=secret", anonymous: "always", ...refused },
  { who: "a token of no connection", query: "clientid=c1&token=secret", anonymous: "always", ...refused },
  { who: "nobody, where nobody may come", anonymous: "never", ...refused },
  { who: "nobody on loopback, where nobody may come", address: "127.0.0.1", anonymous: "never", ...refused },
  { who: "nobody from elsewhere, where loopback may come", anonymous: "loopback", ...refused },
  { who: "nobody on loopback, where that may come", address: "127.0.0.1", anonymous: "loopback", ...nobody },
  { who: "nobody on ::1, where loopback may come", address: "::1", anonymous: "loopback", ...nobody },
  { who: "nobody, where all may come", anonymous: "always", ...nobody },
  { who: "an empty user name, where all may come", query: "username=", anonymous: "always", ...nobody },
  { who: "a DTLS identity", identity: "valve", anonymous: "never", ...valve },
  {
    who: "a DTLS identity that says it is alice",
    identity: "valve",
    query: "u=alice&p=secret",
    anonymous: "never",
    ...valve,
  },
  {
    who: "a DTLS identity with a wrong password",
    identity: "valve",
    query: "u=valve&p=x",
    anonymous: "never",
    ...valve,
  },
  { who: "a DTLS identity like a serial line's", identity: "serial:meter", anonymous: "always", ...refused },
  {
    who: "a DTLS identity without rules",
    identity: "pump",
    anonymous: "always",
    own: "open/a",
    ownCodes: FORBIDDEN,
    foreign: "valve/a",
    foreignCodes: FORBIDDEN,
  },
  {
    who: "a client by its id",
    identity: "valve",
    query: "clientid=c7",
    anonymous: "never",
    own: "by-client/c7",
    ownCodes: GRANTED,
    foreign: "by-client/c8",
    foreignCodes: FORBIDDEN,
  },
];

async function codesOf(h: Harness, given: Case, topic: string): Promise<string[]> {
  const codes: string[] = [];
  const query = given.query === undefined ? "" : `?${given.query}`;
  for (const [code, prefix] of [
    ["GET", "/ps"],
    ["PUT", "/ps"],
    ["POST", "/ps"],
    ["DELETE", "/ps"],
    ["POST", "/mqtt/publish"],
  ] as const) {
    const from = h.port.sent.length;
    h.request({ code }, `${prefix}/${topic}${query}`, given.address ?? REMOTE);
    await eventually("an answer", () => h.port.sent.length > from);
    codes.push(responseOf(h.port.sent[from]!.bytes).code);
  }
  return codes;
}

for (const given of CASES) {
  test(`${given.who}: 4.01 or 4.03 exactly, by each method of each resource`, async () => {
    const h = new Harness({}, authorityWith(given.anonymous));
    h.identity = given.identity ?? null;
    for (const topic of [given.own, given.foreign]) h.retain(topic, "x");
    assert.deepEqual(await codesOf(h, given, given.own), given.ownCodes, given.own);
    assert.deepEqual(await codesOf(h, given, given.foreign), given.foreignCodes, given.foreign);
    // Health and discovery are anybody's, with and without credentials, right and wrong ones.
    const query = given.query === undefined ? "" : `?${given.query}`;
    assert.equal(h.ask({}, `/health${query}`).code, "2.05");
    assert.equal(h.ask({}, "/.well-known/core").code, "2.05");
  });
}

test("the listener's own policy goes before auth.anonymous", () => {
  const closed = new Harness({ anonymous: "never" }, authorityWith("always"));
  assert.equal(closed.ask({ code: "PUT" }, "/ps/open/a").code, "4.01");
  const open = new Harness({ anonymous: "always" }, authorityWith("never"));
  assert.equal(open.ask({ code: "PUT" }, "/ps/open/a").code, "2.04");
});

test("a connection that nobody in particular opened on loopback is worth nothing elsewhere", () => {
  const h = new Harness({}, authorityWith("loopback"));
  const [created] = h.request({ code: "POST" }, "/mqtt/connection?clientid=c1", "127.0.0.1");
  assert.equal(created?.code, "2.01");
  const path = `/ps/open/a?clientid=c1&token=${created?.payload}`;
  assert.equal(h.request({ code: "PUT" }, path, "127.0.0.1", 999)[0]?.code, "2.04");
  assert.equal(h.request({ code: "PUT" }, path, REMOTE)[0]?.code, "4.01");
});

test("a connection has the rights of who opened it: 4.03 elsewhere, one key derivation in all", async () => {
  const authority = authorityWith("never");
  const h = new Harness({}, authority);
  h.request({ code: "POST" }, "/mqtt/connection?clientid=c1&username=alice&password=secret");
  await eventually("an answer", () => h.port.sent.length > 0);
  const { payload } = responseOf(h.port.sent[0]!.bytes);
  for (let i = 0; i < 10; i++) {
    assert.equal(h.ask({ code: "PUT" }, `/ps/alice/a?clientid=c1&token=${payload}`).code, "2.04", "within the call");
    assert.equal(h.ask({ code: "PUT" }, `/ps/open/a?clientid=c1&token=${payload}`).code, "4.03");
    assert.equal(h.ask({ code: "PUT" }, `/ps/by-client/c1?clientid=c1&token=${payload}`).code, "2.04");
  }
});

test("names over limits.string_bytes are 4.00, one of exactly that many bytes is taken", () => {
  const h = new Harness();
  const { stringBytes } = h.limits;
  for (const key of ["clientid", "username"]) {
    const password = key === "username" ? "&password=secret" : "";
    assert.equal(h.ask({ code: "PUT" }, `/ps/a?${key}=${"x".repeat(stringBytes)}${password}`).code, "2.04", key);
    assert.equal(h.ask({ code: "PUT" }, `/ps/a?${key}=${"x".repeat(stringBytes + 1)}${password}`).code, "4.00", key);
    assert.equal(
      h.ask({ code: "PUT" }, `/ps/a?${key}=${"%C3%A9".repeat(stringBytes / 2 + 1)}${password}`).code,
      "4.00",
    );
    assert.equal(h.ask({ code: "PUT" }, `/ps/a?${key}=a%00b${password}`).code, "4.00", `${key} with U+0000`);
  }
});

test("a key that is given twice, and so says two things, is 4.00", () => {
  const h = new Harness();
  for (const query of ["clientid=a&clientid=b", "u=a&username=b", "p=a&password=b", "clientid=a&token=a&token=b"]) {
    const response = h.ask({ code: "PUT" }, `/ps/a?${query}`);
    assert.equal(response.code, "4.00", query);
    assert.match(response.payload, /twice/);
  }
  assert.equal(h.logins.length + h.published.length, 0);
});

test("255 arguments are taken, and more options than 256 are 4.00", () => {
  const h = new Harness();
  const many = (count: number): string => Array.from({ length: count }, (_, i) => `a${i}=1`).join("&");
  assert.equal(h.ask({ code: "PUT" }, `/ps/a?${many(254)}`).code, "2.04");
  assert.equal(h.ask({ code: "PUT" }, `/ps/a?${many(255)}`).code, "4.00");
});

test("where a cable says who it is nobody logs in: the line has its own rights, whatever a request says", () => {
  const h = new Harness({ principal: { name: "valve", clientId: "serial:valve" } }, authorityWith("never"));
  h.identity = "serial:valve";
  const code = (path: string): string => h.ask({ code: "PUT" }, path).code;
  assert.equal(code("/ps/valve/state"), "2.04");
  assert.equal(code("/ps/alice/a"), "4.03");
  assert.equal(code("/ps/alice/a?username=alice&password=secret"), "4.03");
  assert.equal(code("/ps/by-client/serial:valve"), "2.04", "%c is the line");
  assert.equal(code("/ps/by-client/two?clientid=two"), "2.04", "or what the request calls itself");
  const { payload } = h.ask({ code: "POST" }, "/mqtt/connection?clientid=two");
  assert.equal(code(`/ps/valve/state?clientid=two&token=${payload}`), "2.04");
  assert.equal(code(`/ps/alice/a?clientid=two&token=${payload}`), "4.03");
});
