import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../src/base/random.ts";
import {
  SCRAM_MALFORMED,
  SCRAM_MESSAGE_BYTES_MAX,
  SCRAM_OK,
  SCRAM_UNKNOWN_USER,
  SCRAM_WRONG_PROOF,
  ScramClient,
  type ScramRecord,
  ScramServer,
  scramRecordOf,
} from "../../../src/core/scram.ts";

// RFC 7677 section 3.
const CLIENT_NONCE = "rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const CLIENT_FIRST = `n,,n=user,r=${CLIENT_NONCE}`;
const SERVER_FIRST = `r=${CLIENT_NONCE}${SERVER_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`;
const CLIENT_FINAL = `c=biws,r=${CLIENT_NONCE}${SERVER_NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`;
const SERVER_FINAL = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

const RECORD = scramRecordOf("pencil", Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64"), 4096);
const recordOf = (user: string): ScramRecord | null => (user === "user" || user === "a=b,c" ? RECORD : null);

function begun(): ScramServer {
  const server = new ScramServer();
  assert.equal(server.first(Buffer.from(CLIENT_FIRST), SERVER_NONCE, recordOf), SCRAM_OK);
  return server;
}

test("RFC 7677 section 3: the example, byte by byte, on both sides", () => {
  const server = begun();
  assert.equal(server.answer, SERVER_FIRST);
  assert.equal(server.final(Buffer.from(CLIENT_FINAL)), SCRAM_OK);
  assert.equal(server.answer, SERVER_FINAL);
  assert.equal(server.user, "user");
  const client = new ScramClient("user", "pencil", CLIENT_NONCE);
  assert.equal(client.first, CLIENT_FIRST);
  assert.equal(client.final(SERVER_FIRST, 4096), CLIENT_FINAL);
  assert.ok(client.verifies(SERVER_FINAL));
  assert.ok(!client.verifies("v=AAAA"));
});

test("a wrong password is a wrong proof, whoever asks", () => {
  const server = begun();
  const client = new ScramClient("user", "pencils", CLIENT_NONCE);
  assert.equal(server.final(Buffer.from(client.final(server.answer, 4096) as string)), SCRAM_WRONG_PROOF);
});

test("RFC 5802 section 5.1: = and , in a user name are escaped; any other = is malformed", () => {
  const server = new ScramServer();
  const client = new ScramClient("a=b,c", "pencil", "n0nce");
  assert.equal(client.first, "n,,n=a=3Db=2Cc,r=n0nce");
  assert.equal(server.first(Buffer.from(client.first), "ours", recordOf), SCRAM_OK);
  assert.equal(server.user, "a=b,c");
  assert.equal(server.final(Buffer.from(client.final(server.answer, 4096) as string)), SCRAM_OK);
  assert.equal(server.first(Buffer.from("n,,n=a=b,r=n0nce"), "ours", recordOf), SCRAM_MALFORMED);
});

test("the password is normalised: composed and decomposed letters are one", () => {
  const salt = Buffer.from("salt");
  assert.deepEqual(scramRecordOf("p\u00e4ss\ufb01", salt, 4096), scramRecordOf("pa\u0308ssfi", salt, 4096));
});

for (const [what, first, result] of [
  ["an unknown user", "n,,n=nobody,r=abc", SCRAM_UNKNOWN_USER],
  ["y: a client that thinks we cannot bind the channel", "y,,n=user,r=abc", SCRAM_OK],
  ["p: channel binding", "p=tls-exporter,,n=user,r=abc", SCRAM_MALFORMED],
  ["an authorization identity that is the user", "n,a=user,n=user,r=abc", SCRAM_OK],
  ["an authorization identity that is another", "n,a=root,n=user,r=abc", SCRAM_MALFORMED],
  ["a mandatory extension", "n,,m=x,n=user,r=abc", SCRAM_MALFORMED],
  ["another extension behind", "n,,n=user,r=abc,x=y", SCRAM_OK],
  ["no nonce", "n,,n=user,r=", SCRAM_MALFORMED],
  ["a nonce of 128 characters", `n,,n=user,r=${"x".repeat(128)}`, SCRAM_OK],
  ["a nonce of 129 characters", `n,,n=user,r=${"x".repeat(129)}`, SCRAM_MALFORMED],
  ["a nonce with a space", "n,,n=user,r=a b", SCRAM_MALFORMED],
  ["nothing", "", SCRAM_MALFORMED],
  ["a message of the longest length", longest(SCRAM_MESSAGE_BYTES_MAX), SCRAM_UNKNOWN_USER],
  ["a message one byte longer", longest(SCRAM_MESSAGE_BYTES_MAX + 1), SCRAM_MALFORMED],
] as const) {
  test(`client-first with ${what}`, () => {
    assert.equal(new ScramServer().first(Buffer.from(first), SERVER_NONCE, recordOf), result);
  });
}

function longest(bytes: number): string {
  const [head, tail] = ["n,,n=", ",r=abc"];
  return head + "u".repeat(bytes - head.length - tail.length) + tail;
}

for (const [what, final] of [
  ["another nonce", CLIENT_FINAL.replace("rOpr", "rOpx")],
  ["the client's nonce only", CLIENT_FINAL.replace(SERVER_NONCE, "")],
  ["another binding", CLIENT_FINAL.replace("biws", "eSws")],
  ["no proof", CLIENT_FINAL.slice(0, CLIENT_FINAL.indexOf(",p="))],
  ["something behind the proof", `${CLIENT_FINAL},x=y`],
] as const) {
  test(`client-final with ${what} is malformed`, () => {
    assert.equal(begun().final(Buffer.from(final)), SCRAM_MALFORMED);
  });
}

test("a final without a first is malformed", () => {
  assert.equal(new ScramServer().final(Buffer.from(CLIENT_FINAL)), SCRAM_MALFORMED);
});

test("every truncation and every changed byte of the client's messages is answered, and proves nothing", () => {
  const random = seededRandom(1);
  const changed = (text: string, at: number): Buffer => {
    const bytes = Buffer.from(text);
    bytes[at] = (bytes[at] as number) ^ (1 + Math.floor(random() * 255));
    return bytes;
  };
  for (let at = 0; at < CLIENT_FIRST.length; at++) {
    for (const message of [Buffer.from(CLIENT_FIRST.slice(0, at)), changed(CLIENT_FIRST, at)]) {
      const server = new ScramServer();
      const code = server.first(message, SERVER_NONCE, recordOf);
      assert.ok([SCRAM_OK, SCRAM_MALFORMED, SCRAM_UNKNOWN_USER].includes(code));
      assert.notEqual(server.final(Buffer.from(CLIENT_FINAL)), SCRAM_OK);
    }
  }
  // The last characters of the proof's base64 have bits that mean nothing; they are not looked at.
  for (let at = 0; at < CLIENT_FINAL.length - 2; at++) {
    assert.notEqual(begun().final(Buffer.from(CLIENT_FINAL.slice(0, at))), SCRAM_OK);
    assert.notEqual(begun().final(changed(CLIENT_FINAL, at)), SCRAM_OK);
  }
});

test("the client refuses a server's message that is none, that drops its nonce, or asks for too much work", () => {
  const client = new ScramClient("user", "pencil", CLIENT_NONCE);
  for (const text of [
    "",
    "e=other-error",
    SERVER_FIRST.replace("rOpr", "rOpx"),
    `r=${CLIENT_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`,
    SERVER_FIRST.replace("i=4096", "i=4097"),
    SERVER_FIRST.replace("i=4096", "i=4095"),
    SERVER_FIRST.replace("i=4096", "i=0"),
  ]) {
    assert.equal(client.final(text, 4096), null, text);
  }
  assert.ok(!client.verifies(SERVER_FINAL), "nothing was proven yet");
});
