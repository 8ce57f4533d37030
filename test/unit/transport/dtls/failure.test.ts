import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../../src/base/clock.ts";
import { Counters } from "../../../../src/base/counters.ts";
import { Log } from "../../../../src/base/log.ts";
import { type Cause, causeOf, FailureLog } from "../../../../src/transport/dtls/failure.ts";

const ERRORS: readonly (readonly [error: string, cause: Cause])[] = [
  ["psk identity not found; sent alert unknown PSK identity (115)", "unknown-identity"],
  ["no shared cipher; sent alert handshake failure (40)", "no-common-cipher"],
  ["peer did not return a certificate; sent alert handshake failure (40)", "no-certificate"],
  ["certificate: unable to get local issuer certificate; sent alert unknown CA (48)", "certificate-not-trusted"],
  ["certificate: certificate has expired; sent alert certificate expired (45)", "certificate-not-trusted"],
  ["tlsv1 alert unknown ca; received alert unknown CA (48)", "our-certificate-refused"],
  ["ssl/tls alert bad certificate; received alert bad certificate (42)", "our-certificate-refused"],
  ["sslv3 alert certificate expired; received alert certificate expired (45)", "our-certificate-refused"],
  ["sslv3 alert handshake failure; received alert handshake failure (40)", "no-common-cipher"],
  ["received alert user canceled (90)", "refused-by-client"],
  ["unsupported protocol; sent alert protocol version (70)", "version"],
  ["digest check failed; sent alert decrypt error (51)", "wrong-key"],
  ["unexpected message; sent alert unexpected_message (10)", "protocol"],
  ["", "protocol"],
];

test("OpenSSL's words become a cause that a technician knows", () => {
  for (const [error, cause] of ERRORS) assert.equal(causeOf(error), cause, error);
});

function failureLog() {
  const clock = new ManualClock();
  const counters = new Counters();
  const lines: string[] = [];
  const log = new Log({ level: "warn", format: "text", write: (line) => lines.push(line) });
  return { clock, counters, lines, failures: new FailureLog("listener 4", { clock, counters, log }) };
}

test("the identity stands in the log as it would in psk_file, and cannot forge a line", () => {
  const { lines, failures } = failureLog();
  const identities = ["meter", "a:b", "evil\n2026 info", Buffer.of(0, 0xff)];
  for (const [i, identity] of identities.entries())
    failures.failed("unknown-identity", `10.0.0.${i}`, Buffer.from(identity), "");
  const told = lines.map((line) => /identity=(\S+)/.exec(line)?.[1]);
  assert.deepEqual(told, ["meter", "hex:613a62", `hex:${Buffer.from("evil\n2026 info").toString("hex")}`, "hex:00ff"]);
  assert.ok(lines.every((line) => !line.includes("\n")));
});

test("each cause and address is told once in ten minutes, with how often it was meanwhile", () => {
  const { clock, lines, failures, counters } = failureLog();
  for (let i = 0; i < 3; i++) failures.failed("silent", "10.0.0.1", null, "");
  failures.failed("wrong-key", "10.0.0.1", null, "");
  failures.failed("silent", "10.0.0.2", null, "");
  assert.equal(lines.length, 3);
  clock.advance(600_000);
  failures.failed("silent", "10.0.0.1", null, "");
  assert.match(lines[3] ?? "", /address=10\.0\.0\.1 cause=silent .*more=2/);
  assert.deepEqual([counters.get("dtls.failed"), counters.get("dtls.failed.silent")], [6, 5]);
});

test("a storm of addresses gets 20 lines at once and one a second; what is remembered is bounded", () => {
  const { clock, lines, failures } = failureLog();
  for (let i = 0; i < 1000; i++) failures.failed("silent", `10.1.${i >> 8}.${i & 255}`, null, "");
  assert.equal(lines.length, 20);
  for (let i = 0; i < 200; i++) {
    clock.advance(1000);
    failures.failed("silent", `10.2.0.${i}`, null, "");
  }
  assert.equal(lines.length, 220);
  failures.failed("silent", "10.2.0.199", null, "");
  clock.advance(1000);
  failures.failed("silent", "10.1.0.0", null, "");
  assert.equal(lines.length, 221, "the first are forgotten, the last are not");
});
