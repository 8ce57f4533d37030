import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, before, test } from "node:test";
import { connect, createServer } from "node:tls";
import { type CertificatePaths, makeCertificates } from "../../../scripts/demo/certificates.ts";

const directory = mkdtempSync(`${tmpdir()}/sluice-certificates-`);
let ca = "";
let server: CertificatePaths;
let client: CertificatePaths;

before(async () => {
  const made = await makeCertificates(directory, [
    { name: "cloud", usage: "server" },
    { name: "gateway", usage: "client" },
  ]);
  ca = made.ca;
  [server, client] = made.issued as [CertificatePaths, CertificatePaths];
});
after(() => rmSync(directory, { recursive: true }));

test("certificates are issued by the CA and fit their keys", () => {
  const authority = new X509Certificate(readFileSync(ca));
  assert.ok(authority.ca);
  for (const { cert, key } of [server, client]) {
    const certificate = new X509Certificate(readFileSync(cert));
    assert.ok(certificate.checkIssued(authority));
    assert.ok(certificate.verify(authority.publicKey));
    assert.equal(statSync(key).mode & 0o777, 0o600);
  }
  const cloud = new X509Certificate(readFileSync(server.cert));
  assert.equal(cloud.checkHost("localhost"), "localhost");
  assert.equal(cloud.checkIP("127.0.0.1"), "127.0.0.1");
});

test("both ends of a TLS connection accept each other's", async () => {
  const listener = createServer(
    { ...read(server), ca: readFileSync(ca), requestCert: true, rejectUnauthorized: true },
    (socket) => socket.end(String(socket.getPeerCertificate().subject.CN)),
  );
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as { port: number };
  const socket = connect({ host: "127.0.0.1", port, servername: "localhost", ca: readFileSync(ca), ...read(client) });
  socket.setEncoding("utf8");
  const seen: string[] = [];
  for await (const chunk of socket) seen.push(chunk as string);
  assert.equal(seen.join(""), "gateway");
  await new Promise((resolve) => listener.close(resolve));
});

function read(paths: CertificatePaths): { cert: Buffer; key: Buffer } {
  return { cert: readFileSync(paths.cert), key: readFileSync(paths.key) };
}
