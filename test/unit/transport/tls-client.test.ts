import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createServer } from "node:tls";
import { createDial } from "../../../src/transport/dialer.ts";
import { type DatedCertificate, datedCertificate } from "../../support/dated-certificates.ts";
import { bench } from "./fixture.ts";

/** What a dial to a server with this certificate ends with. */
async function words(t: TestContext, { ca, cert, key }: DatedCertificate): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "dates-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "ca.pem"), ca);
  const server = createServer({ cert, key }, (socket) => socket.on("error", () => {}));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const tls = { ca: join(folder, "ca.pem"), cert: null, key: null, alpn: [], servername: "localhost" };
  const dial = createDial(bench(t).transport);
  const error = await new Promise<string>((resolve) => {
    const target = { host: "127.0.0.1", port, tls, timeoutMs: 5000 };
    dial(
      target,
      () => resolve("connected"),
      ({ message }) => resolve(message),
    );
  });
  return error.replace(`127.0.0.1:${port}: `, "");
}

test("a server's certificate that has expired, that of its issuer, and one that is not valid yet: each with the day", async (t) => {
  assert.equal(
    await words(t, datedCertificate({ from: "2024-01-01", to: "2024-02-01" })),
    "the certificate expired on 2024-02-01 (CERT_HAS_EXPIRED)",
  );
  assert.equal(
    await words(
      t,
      datedCertificate({ from: "2024-01-01", to: "2100-01-01" }, { from: "2024-01-01", to: "2024-02-01" }),
    ),
    "a certificate of the server's issuer has expired (CERT_HAS_EXPIRED)",
  );
  const today = new Date().toISOString().slice(0, 10);
  assert.equal(
    await words(t, datedCertificate({ from: "2098-01-01", to: "2100-01-01" })),
    `the certificate is not valid yet: it begins on 2098-01-01, and the clock here says ${today} (CERT_NOT_YET_VALID)`,
  );
});
