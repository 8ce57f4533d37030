import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ADVICE, adviceFor } from "../../../src/cli/uplink-advice.ts";
import { describeError } from "../../../src/transport/socket-error.ts";
import { linkWords, reasonWords } from "../../../src/uplink/words.ts";
import { fromConnackV3, reasonName } from "../../../src/wire/mqtt/codes.ts";

const README = readFileSync(join(import.meta.dirname, "../../../README.md"), "utf8");

/** An error as node gives it. */
function nodeError(code: string, message = code): Error {
  return Object.assign(new Error(message), { code });
}

/** What the gateway says, by what it is to lead to. The words are those of the places that make them. */
const CASES: readonly (readonly [error: string, advice: RegExp])[] = [
  ["password_file /etc/sluice/pw: no such file or directory (ENOENT)", /readable for the gateway's user/],
  ["a:8883: tls: cert gw.pem: cannot be read: EACCES", /readable for the gateway's user/],
  ["refused: not authorised; the token in password_file expired on 2026-11-20 18:00 UTC", /new token/],
  [
    "a:8883: the certificate is not valid yet: it begins on 2026-01-01 (CERT); the clock is not set",
    /set the gateway's clock/,
  ],
  ["the local address 10.0.0.2 is gone", /modem/],
  [
    "closed by the server; our certificate has expired: gw.pem was valid until 2026-03-01",
    /new certificate into `tls\.cert`/,
  ],
  ["a:8883: proxy p:3128: it refuses the user name or password (407 No)", /proxy_password_file/],
  ["a:8883: proxy p:3128: it wants a user name and password", /proxy_password_file/],
  ["a:8883: proxy p:3128: connection refused (ECONNREFUSED)", /whether the proxy runs/],
  ["a:8883: proxy p:3128: it does not answer as SOCKS 5 does", /http:\/\/ or socks5:/],
  ["a:8883: proxy p:3128: it does not allow connections to this server or port (403 No)", /who runs the proxy/],
  ["a:8883: interface wwan0 has no address, is down or does not exist", /modem or cable.*interface/],
  ["a:8883: no address that 10.0.0.1 can reach", /bind_address/],
  [`a:8883: ${describeError(nodeError("EADDRNOTAVAIL"))}`, /bind_address/],
  [`a:8883: ${describeError(nodeError("ENOTFOUND"))}`, /typing error/],
  [`a:8883: ${describeError(nodeError("EAI_AGAIN"))}`, /name server/],
  ["a:8883: timed out after 30000 ms, looking up the name", /name server/],
  [`a:8883: ${describeError(nodeError("EHOSTUNREACH"))}`, /no route/],
  [`a:8883: ${describeError(nodeError("ENETUNREACH"))}`, /no route/],
  [`a:8883: ${describeError(nodeError("ENETDOWN"))}`, /no route/],
  [`a:8883: ${describeError(nodeError("ECONNREFUSED"))}`, /broker runs/],
  ["a:8883: timed out after 30000 ms, connecting", /firewall drops/],
  [`a:8883: ${describeError(nodeError("ETIMEDOUT"))}`, /firewall drops/],
  ["a:8883: timed out after 30000 ms, in the TLS handshake", /speaks TLS/],
  [`a:8883: ${describeError(nodeError("EPROTO", "write EPROTO wrong version number"))}`, /speaks TLS/],
  [`a:8883: ${describeError(nodeError("CERT_HAS_EXPIRED"))}`, /broker's certificate renewed/],
  ["a:8883: the certificate expired on 2026-03-01 (CERT_HAS_EXPIRED)", /broker's certificate renewed/],
  ["a:8883: a certificate of the server's issuer has expired (CERT_HAS_EXPIRED)", /broker's certificate renewed/],
  [`a:8883: ${describeError(nodeError("CERT_NOT_YET_VALID"))}`, /clock/],
  [`a:8883: ${describeError(nodeError("SELF_SIGNED_CERT_IN_CHAIN"))}`, /tls\.ca/],
  [`a:8883: ${describeError(nodeError("DEPTH_ZERO_SELF_SIGNED_CERT"))}`, /tls\.ca/],
  [`a:8883: ${describeError(nodeError("UNABLE_TO_VERIFY_LEAF_SIGNATURE"))}`, /tls\.ca/],
  ["a:8883: Host: a. is not in the cert's altnames: DNS:b (ERR_TLS_CERT_ALTNAME_INVALID)", /servername/],
  [linkWords("ssl/tls alert certificate required (ERR_SSL)"), /give `tls\.cert`/],
  [linkWords("ssl/tls alert unknown ca (ERR_SSL)"), /give the broker the authority/],
  [linkWords("ssl/tls alert certificate expired (ERR_SSL)"), /new certificate into `tls\.cert`/],
  [linkWords("ssl/tls alert bad certificate (ERR_SSL)"), /give the broker the authority/],
  [linkWords("tlsv1 alert no application protocol (ERR_SSL)"), /alpn/],
  ["a:443: the server has no WebSocket under this path (404)", /\/mqtt/],
  ["a:443: the server does not speak WebSocket (Invalid Upgrade header)", /MQTT over WebSocket/],
  ["a:443: timed out after 30000 ms, in the WebSocket handshake", /MQTT over WebSocket/],
  ["closed by the server without an answer to CONNECT", /broker's log/],
  ["no answer to CONNECT within 30 s", /does not answer/],
  ["no acknowledgement within 60 s", /does not answer/],
  ["no sign of life from the server", /keepalive/],
  ["the server has no room: quota exceeded", /nothing here/],
  ["closed by the server: session taken over", /own `client_id`/],
  ["closed by the server", /broker's log/],
  ["connection reset by peer (ECONNRESET)", /broker's log/],
  ["closed by the server: packet too large", /max_packet_bytes/],
  ["the server broke the protocol: malformed packet", /MQTT broker at `url`/],
  ["a message from the server could not be stored", /`store`/],
  ["client id, user name or password is longer than 65,535 bytes", /shorten/],
];

test("each of an uplink's errors tells what to do", () => {
  for (const [error, advice] of CASES) assert.match(adviceFor(error), advice, error);
});

test("each reason code of a broker tells what to do, before 5.0 too", () => {
  for (let code = 0x80; code < 0x100; code++) {
    if (reasonName(code) === "unknown-reason-code") continue;
    assert.notEqual(adviceFor(`refused: ${reasonWords(code)}`), "", reasonWords(code));
    assert.notEqual(adviceFor(`closed by the server: ${reasonWords(code)}`), "", reasonWords(code));
  }
  for (let code = 1; code < 256; code++) assert.notEqual(adviceFor(`refused: ${reasonWords(fromConnackV3(code))}`), "");
});

test("what a broker adds in its own words changes no advice; what nobody has met yet has none", () => {
  assert.match(adviceFor("refused: not authorised (the server says: go away)"), /policy/);
  assert.equal(adviceFor("the moon is full"), "");
});

test("README.md has each advice, and no entry of the table stands behind a wider one", () => {
  for (const [pattern, advice] of ADVICE) {
    assert.ok(README.includes(advice), `README.md lacks: ${advice}`);
    assert.ok(
      [...CASES.map(([error]) => error), ...otherErrors()].some((error) => adviceFor(error) === advice),
      `nothing leads to ${pattern}`,
    );
  }
});

function otherErrors(): string[] {
  const codes = Array.from({ length: 128 }, (_, i) => `refused: ${reasonWords(0x80 + i)}`);
  return [...codes, "key b.key does not belong to cert a.pem"];
}
