import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { makeCertificates } from "../../../scripts/demo/certificates.ts";
import { FILE_BYTES_MAX } from "../../../src/config/files.ts";
import { load } from "../../../src/config/load.ts";

let directory = "";

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "sluice-files-"));
  await makeCertificates(directory, [
    { name: "gw", usage: "server" },
    { name: "other", usage: "server" },
  ]);
  const encoding = { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" } as const;
  const { privateKey } = generateKeyPairSync("ed25519", {
    privateKeyEncoding: encoding,
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  writeFileSync(join(directory, "encrypted.key"), privateKey);
  writeFileSync(join(directory, "text"), "hello\n");
  writeFileSync(join(directory, "large"), "x".repeat(FILE_BYTES_MAX + 1));
});

after(() => rmSync(directory, { recursive: true }));

function complaintsOf(text: string): string[] {
  return load(text, { directory }).complaints.map(({ path, problem }) => `${path}: ${problem}`);
}

const tls = (keys: string) => `listeners: [{tls: {${keys}}}]`;
const dtls = (keys: string) => `listeners: [{type: coap, dtls: {${keys}}}]`;

test("files that are what they should be are fine, relative to the configuration", () => {
  const text = `${tls("cert: gw.pem, key: ./gw.key, client_ca: ca.pem")}
auth: {password_file: text, acl_file: ${directory}/text}
uplinks: [{url: mqtts://a, username: a, password_file: text, tls: {ca: ca.pem, cert: gw.pem, key: gw.key}}]`;
  const { config, complaints } = load(text, { directory });
  assert.deepEqual(complaints, []);
  assert.equal(config?.listeners[0]?.tls?.key, join(directory, "gw.key"));
});

const CASES: [string, string][] = [
  [tls("cert: none.pem, key: gw.key"), "listeners[0].tls.cert: cannot read DIR/none.pem: no such file"],
  [dtls("psk_file: none"), "listeners[0].dtls.psk_file: cannot read DIR/none: no such file"],
  [dtls("cert: text, key: gw.key"), "listeners[0].dtls.cert: DIR/text holds no certificate in PEM"],
  [
    dtls("psk_file: text, cert: gw.pem, key: other.key"),
    "listeners[0].dtls.key: DIR/other.key does not belong to the certificate DIR/gw.pem",
  ],
  [
    dtls("cert: gw.pem, key: gw.key, client_ca: text"),
    "listeners[0].dtls.client_ca: DIR/text holds no certificate in PEM",
  ],
  [tls("cert: gw.pem, key: ."), "listeners[0].tls.key: cannot read DIR: it is a folder"],
  [tls("cert: gw.pem, key: text/x"), "listeners[0].tls.key: cannot read DIR/text/x: a part of the path is no folder"],
  [tls("cert: text, key: gw.key"), "listeners[0].tls.cert: DIR/text holds no certificate in PEM"],
  [tls("cert: gw.pem, key: text"), "listeners[0].tls.key: DIR/text holds no private key in PEM"],
  [tls("cert: gw.pem, key: encrypted.key"), "listeners[0].tls.key: DIR/encrypted.key is encrypted"],
  [
    tls("cert: gw.pem, key: other.key"),
    "listeners[0].tls.key: DIR/other.key does not belong to the certificate DIR/gw.pem",
  ],
  [
    tls("cert: gw.pem, key: gw.key, client_ca: gw.key"),
    "listeners[0].tls.client_ca: DIR/gw.key holds no certificate in PEM",
  ],
  ["uplinks: [{url: mqtts://a, tls: {ca: none}}]", "uplinks[0].tls.ca: cannot read DIR/none: no such file"],
  [
    "uplinks: [{url: mqtts://a, username: a, password_file: none}]",
    "uplinks[0].password_file: cannot read DIR/none: no such file",
  ],
  ["auth: {password_file: large}", "auth.password_file: cannot read DIR/large: it is larger than 4 MiB"],
  ["auth: {acl_file: none}", "auth.acl_file: cannot read DIR/none: no such file"],
];

for (const [text, expected] of CASES) {
  test(expected, () => assert.deepEqual(complaintsOf(text), [expected.replaceAll("DIR", directory)]));
}
